"""Adapters for the families CURV, SS and VOL of tests/cases/risk.json: forward curves, Schwartz-Smith, volatility."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np

from cloud.market import curves, schwartz_smith, volatility
from cloud.market.periods import Granularity, midnight_us, months, split
from cloud.market.quotes import Quote

Members = Mapping[str, Any]


def curve(inputs: Members, data: Members) -> float:
    return off_peak(inputs) if "peak" in inputs else missing_month(inputs)


def missing_month(inputs: Members) -> float:
    year = inputs["year"]
    named = {"Jan": months(year, 1), "Feb": months(year, 2), "Q1": months(year, 1, 3)}
    as_of_us = midnight_us(date(year - 1, 12, 1))
    quotes = [
        Quote("case", "case", period, Decimal(str(inputs[name])), "EUR", "MWh", as_of_us)
        for name, period in named.items()
        if name in inputs
    ]
    built = curves.build(quotes, curves.Grid(split(named["Q1"], Granularity.MONTH)), as_of_us)
    return built.price(months(year, 3))


def off_peak(inputs: Members) -> float:
    return curves.implied_remainder(inputs["base"], inputs["hours"], [inputs["peak"]], [inputs["peak_hours"]])


def futures_price(inputs: Members, data: Members) -> float:
    names = ("kappa", "sigma_chi", "lambda_chi", "mu_xi_star", "sigma_xi", "rho")
    model = schwartz_smith.SchwartzSmith(**{name: inputs[name] for name in names})
    return float(model.futures(inputs["chi0"], inputs["xi0"], np.array([inputs["T"]]))[0])


def ewma_volatility(inputs: Members, data: Members) -> float:
    return volatility.ewma_update(inputs["sigma"], inputs["ret"], inputs["lam"])


ADAPTERS: Final[Mapping[str, Callable[[Members, Members], object]]] = {
    "CURV": curve,
    "SS": futures_price,
    "VOL": ewma_volatility,
}
