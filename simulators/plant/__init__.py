"""A physical plant as a source of steps: deterministic, one-second steps, faster than real time."""
