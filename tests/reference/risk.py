"""Adapters for the families of tests/cases/risk.json that cloud.risk answers: options, measures, delta-gamma, backtests."""

from collections.abc import Mapping
from typing import Any

from cloud.risk import pricing

Members = Mapping[str, Any]


def right(inputs: Members) -> pricing.Right:
    return pricing.Right[inputs["type"].upper()]


def black76(inputs: Members, _: Any) -> float:
    return float(pricing.black76(right(inputs), *(inputs[key] for key in ("F", "K", "vol", "T", "r"))))


def black_scholes(inputs: Members, _: Any) -> float:
    return float(pricing.black_scholes(right(inputs), *(inputs[key] for key in ("S", "K", "vol", "T", "r", "q"))))


def greek(inputs: Members, _: Any) -> float:
    terms = right(inputs), inputs.get("F", inputs.get("S")), inputs["K"], inputs["vol"], inputs["T"], inputs["r"]
    greeks = pricing.black76_greeks(*terms) if "F" in inputs else pricing.black_scholes_greeks(*terms, inputs["q"])
    return next(float(getattr(greeks, name)) for name in ("delta", "gamma", "vega", "theta") if name in inputs["what"])


def kirk(inputs: Members, _: Any) -> float:
    return float(pricing.kirk(*(inputs[key] for key in ("F1", "F2", "strike", "vol1", "vol2", "rho", "T", "r"))))


def margrabe(inputs: Members, _: Any) -> float:
    keys = "S1", "S2", "vol1", "vol2", "rho", "T", "q1", "q2", "Q1", "Q2"
    return float(pricing.margrabe(*(inputs[key] for key in keys)))
