"""Filings: identifiers, message formats, validation in four layers, manifests, due dates. Pure: bytes and values in, values out.

For turning what is booked into files that authorities and banks accept, and for saying precisely what is wrong with a file.
Not for deciding what must be filed (rules of compliance), nor for keeping or sending files (store and adapters).
"""
