"""Compliance: rules of law as pure functions with dated parameters, findings with a trace, and surveillance of orders and trades.

No SQL, no HTTP, no clock. What is not known is INDETERMINATE, never PASS. Nothing here is legal advice: a finding shows its sources.
"""
