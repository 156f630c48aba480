"""Risk: what positions are worth, how far that can move, how well that was foreseen, and how supply makes it worse.

Pure functions of (snapshot, parameters, seed) over numpy float64 arrays. No SQL, no HTTP, no clock; NaN never leaves a function.
"""
