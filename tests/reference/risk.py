"""Adapters for the families of tests/cases/risk.json that cloud.risk answers: options, measures, delta-gamma, backtests."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cloud.risk import backtest, deltagamma, measures, pricing

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


def value_at_risk(inputs: Members, expected: Members) -> dict[str, float]:
    if "nu" in inputs:
        tail = measures.student_t(inputs["level"], inputs["nu"])
        return {"var": tail.var, "es": tail.es}
    if "pnl" in inputs:
        tails = {f"{p:.2f}".replace("0.", ""): measures.inclusive_tail(inputs["pnl"], p) for p in inputs["p"]}
        return {f"q{name}": -tail.var for name, tail in tails.items()} | {f"es{name}": -tail.es for name, tail in tails.items()}
    found: dict[str, float] = {}
    for level in inputs["levels"]:
        name = f"{level}".replace("0.", "")
        if "losses" in inputs:
            low, high = map(int, inputs["losses"].split(".."))
            losses = np.arange(low, high + 1, dtype=np.float64)
            tail = measures.Tail(measures.value_at_risk(losses, level), measures.expected_shortfall(losses, level))
        else:
            tail = measures.normal(level)
        found |= {f"var{name}": tail.var, f"es{name}": tail.es}
    return found


def kupiec(inputs: Members, _: Any) -> dict[str, float]:
    if "n" not in inputs:
        levels = (("95", 0.95), ("99", 0.99))
        return {
            f"{name}{digits}": backtest.critical_value(level, degrees)
            for name, degrees in (("uc", 1), ("cc", 2))
            for digits, level in levels
        }
    found = backtest.kupiec(inputs["n"], inputs["exceptions"], inputs["p"])
    return {"lr": found.lr, "p_value": found.p_value}


def kupiec_region(inputs: Members, _: Any) -> list[int]:
    return list(backtest.non_rejection(inputs["n"], inputs["p"]))


def christoffersen(inputs: Members, _: Any) -> dict[str, float]:
    hits = np.isin(np.arange(1, inputs["n"] + 1), inputs["violation_days"])
    found = backtest.christoffersen(hits, inputs["p"])
    ratios = {"lr_ind": found.independence.lr, "lr_uc": found.unconditional.lr, "lr_cc": found.conditional.lr}
    return {name: getattr(found, name) for name in ("n00", "n01", "n10", "n11")} | ratios


def traffic_light(inputs: Members, expected: Any) -> Any:
    if isinstance(expected, list):
        return backtest.cumulative(inputs["n"], inputs["p"], len(expected) - 1).tolist()
    light = backtest.traffic_light(inputs["n"], inputs["p"])
    factors = [backtest.plus_factor(exceptions) for exceptions in range(4, 11)]
    return {"green_max": light.green_max, "amber_max": light.amber_max, "plus_factor": factors}


def delta_gamma(inputs: Members, _: Any) -> float:
    return deltagamma.Quadratic.of(inputs["delta"], inputs["gamma"], inputs["omega"]).quantile(inputs["p"])
