"""Surveillance of orders and trades: patterns of market abuse as definitions with parameters, over column arrays.

What it gives back are alerts for a person who analyses and decides (Delegated Regulation (EU) 2016/957); never a verdict.
"""
