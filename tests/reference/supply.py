"""Adapters for the SUP cases of tests/cases/risk.json that assets and hedges answer: availability, first passage, age, price times volume."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cloud.assets import availability, hazard
from cloud.risk import hedge
from tests.reference.cases import Unbuilt

Members = Mapping[str, Any]


def normal_price_and_volume(inputs: Members, _: Members) -> Members:
    mean, variance, covariance = hedge.normal_product(*(inputs[name] for name in ("mu_p", "mu_q", "sd_p", "sd_q", "rho")))
    cover = hedge.min_variance(inputs["sd_p"] ** 2, covariance)
    return {"E_PQ": mean, "Var_PQ": variance, "hedge": -float(cover[0])}


def two_state(inputs: Members, _: Members) -> Members:
    found = availability.two_state(inputs["mtbf"], inputs["mttr"], inputs["hours"])
    return {
        "A_inf": float(found.steady),
        "E_Abar_from_up": float(found.mean_from_up),
        "Var_Abar_stationary": float(found.variance),
    }


def wiener_first_passage(inputs: Members, _: Members) -> Members:
    left = inputs["threshold"] - inputs["level"]
    chance = hazard.wiener_first_passage(left, inputs["drift"], inputs["diffusion"], inputs["t"])
    return {"P_fail_30": float(chance), "mean_rul": float(hazard.wiener_mean_life(left, inputs["drift"]))}


def weibull_survival(inputs: Members, _: Members) -> float:
    return float(hazard.weibull_survival(inputs["eta"], inputs["beta"], inputs["age"], inputs["horizon"]))


ADAPTERS: Final[dict[str, Callable[[Members, Members], object]]] = {
    "SUP-01": normal_price_and_volume,
    "SUP-03": two_state,
    "SUP-05": wiener_first_passage,
    "SUP-07": weibull_survival,
}

# The input that only this kind of case has.
_TOLD_BY: Final = {"mu_p": "SUP-01", "mtbf": "SUP-03", "drift": "SUP-05", "eta": "SUP-07"}


def supply(inputs: Members, expected: Members) -> object:
    """The adapter of whichever case these inputs belong to."""
    found = [ADAPTERS[case] for key, case in _TOLD_BY.items() if key in inputs]
    if not found:
        raise Unbuilt
    return found[0](inputs, expected)
