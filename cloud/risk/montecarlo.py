"""What a book of options and linear positions is worth in each scenario: every contract revalued, none approximated by its Greeks.

Not the source of the scenarios (market) and not early exercise. `revalue` goes through the book in blocks of contracts x scenarios
that stay in the processor's cache; within a block everything is a handful of whole-array operations. What it spends less than the
textbook formula applied row by row: log F once per factor and scenario instead of per contract; N(d) as 1/2 + C(d) with C odd, so
that puts, calls and the halves become one linear position per factor; C from a table by Taylor's second order (error below 8e-12)
instead of a call per number; and contracts are summed by a matrix product, so their values never exist one by one. One thread: its
operations are too short for two to share the interpreter's lock with profit (measured).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from cloud.risk.errors import Cause, Failure, Floats, RiskError, finite

Indices = NDArray[np.intp]
CONTRACTS: Final = 32  # per block; x SCENARIOS x 8 bytes x 5 scratch arrays = 0.6 MiB, inside a second-level cache
SCENARIOS: Final = 512
SQRT_2PI: Final = float(np.sqrt(2 * np.pi))
# N(d) - 1/2 by Taylor's second order about the nearest of PER_UNIT nodes per unit of d: wrong by at most 8e-12. Beyond REACH it is +-1/2.
PER_UNIT: Final = 1024
REACH: Final = 9
MIDDLE: Final = REACH * PER_UNIT
_NODES: Final = np.arange(-MIDDLE, MIDDLE + 1) / PER_UNIT
_DENSITY: Final = np.exp(-0.5 * _NODES**2) / SQRT_2PI
CURVE: Final = ndtr(_NODES) - 0.5
CURVE_1: Final = _DENSITY / PER_UNIT
CURVE_2: Final = -0.5 * _NODES * _DENSITY / PER_UNIT**2


class Model(IntEnum):
    """How a contract's value follows its factor: itself, Black-76 (factor > 0), Bachelier (any factor)."""

    LINEAR = 0
    LOGNORMAL = 1
    NORMAL = 2


@dataclass(frozen=True, slots=True)
class Contracts:
    """European contracts as columns (n). Value = quantity x discount x payoff value; quantity < 0 is short.

    factor: column of the scenarios the price is; right: +1 call, -1 put (ignored where LINEAR: quantity x discount x (F - strike));
    vol, expiry_years as in `pricing`; discount = exp(-rate x expiry), given because curves live in market; group: 0..k-1, the deal,
    bucket or book whose total is wanted.
    """

    model: Indices
    factor: Indices
    right: Floats
    quantity: Floats
    strike: Floats
    vol: Floats
    expiry_years: Floats
    discount: Floats
    group: Indices

    @classmethod
    def of(
        cls, *, model: ArrayLike, factor: ArrayLike, right: ArrayLike, quantity: ArrayLike, strike: ArrayLike, vol: ArrayLike,
        expiry_years: ArrayLike, discount: ArrayLike = 1.0, group: ArrayLike = 0,
    ) -> "Contracts":  # fmt: skip
        """Broadcast the columns to one length."""
        given = (model, factor, right, quantity, strike, vol, expiry_years, discount, group)
        kinds = (np.intp, np.intp, float, float, float, float, float, float, np.intp)
        try:
            arrays = np.broadcast_arrays(*(np.asarray(column, dtype=kind) for column, kind in zip(given, kinds, strict=True)))
        except ValueError as error:
            raise RiskError(Cause.SHAPES_DIFFER, str(error)) from error
        return cls(*(np.atleast_1d(array) for array in arrays))

    def __getitem__(self, rows: Indices | NDArray[np.bool_]) -> "Contracts":
        return Contracts(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Revaluation:
    """`values` (groups, scenarios) of all contracts that could be valued in every scenario; the others are in `failures`."""

    values: Floats
    failures: tuple[Failure, ...]

    @property
    def total(self) -> Floats:
        summed: Floats = self.values.sum(axis=0)
        return summed


@dataclass(frozen=True, slots=True)
class _Plan:
    """Contracts of one model and one factor, ready for blocks; weights (groups, n) hold quantity x discount."""

    model: Model
    factor: int
    strike: Floats
    deviation: Floats
    weight: Floats


def revalue(contracts: Contracts, scenarios: ArrayLike) -> Revaluation:
    """Value of each group in each scenario; scenarios (s, factors) are prices, in the contracts' units.

    A contract is set aside with its cause when a number is missing, its vol or time is negative, or it is lognormal and its factor
    is <= 0 in any scenario. Accuracy: 1e-11 of price and strike per unit of quantity.
    """
    prices = finite("scenarios", scenarios)
    if prices.ndim != 2:
        raise RiskError(Cause.SHAPES_DIFFER, f"scenarios must be (scenarios, factors), not {prices.shape}")
    levels: Floats = np.ascontiguousarray(prices.T)
    keep, failures = _valuable(contracts, levels)
    groups = int(contracts.group.max()) + 1 if contracts.group.size else 1
    book = contracts[keep]
    plans, linear, constant = _prepare(book, groups, len(levels))
    values = linear @ levels
    values += constant[:, None]
    logs = {plan.factor: np.log(levels[plan.factor]) for plan in plans if plan.model is Model.LOGNORMAL}
    for start in range(0, prices.shape[0], SCENARIOS):
        span = slice(start, min(start + SCENARIOS, prices.shape[0]))
        scratch = _Scratch.of(span.stop - span.start)
        for plan in plans:
            log = logs[plan.factor][span] if plan.model is Model.LOGNORMAL else None
            _add(plan, levels[plan.factor, span], log, scratch, values[:, span])
    return Revaluation(values, failures)


def _add(plan: _Plan, price: Floats, log: Floats | None, scratch: "_Scratch", out: Floats) -> None:
    """Add the curved part of one plan's contracts over one span of scenarios to `out` (groups, span)."""
    for start in range(0, plan.strike.size, CONTRACTS):
        rows = slice(start, start + CONTRACTS)
        strike, deviation, weight = plan.strike[rows, None], plan.deviation[rows, None], plan.weight[:, rows]
        block = scratch.rows(strike.shape[0])
        at, scale = block.at, PER_UNIT / deviation
        if log is not None:
            np.multiply(log, scale, out=at)
            at += 0.5 * PER_UNIT * deviation - np.log(strike) * scale + MIDDLE
            out += (weight @ _odd_cdf(block)) * price
            at -= PER_UNIT * deviation
            out -= (weight * strike[:, 0]) @ _odd_cdf(block)
        else:
            np.subtract(price, strike, out=at)
            at *= scale
            np.multiply(at, 1.0 / PER_UNIT, out=block.rest)
            np.multiply(block.rest, block.rest, out=block.rest)
            np.multiply(block.rest, -0.5, out=block.rest)
            np.exp(block.rest, out=block.rest)
            out += (weight * (deviation[:, 0] / SQRT_2PI)) @ block.rest
            at += MIDDLE
            curved = _odd_cdf(block)
            out += (weight @ curved) * price - (weight * strike[:, 0]) @ curved


@dataclass(frozen=True, slots=True)
class _Scratch:
    """Arrays (contracts, span) that a block is worked out in; `at` is d in table units, counted from the table's start."""

    at: Floats
    rest: Floats
    node: Floats
    curve: Floats
    index: Indices

    @classmethod
    def of(cls, span: int) -> "_Scratch":
        at, rest, node, curve = np.empty((4, CONTRACTS, span))
        return cls(at, rest, node, curve, np.empty((CONTRACTS, span), dtype=np.intp))

    def rows(self, count: int) -> "_Scratch":
        return self if count == len(self.at) else _Scratch(*(getattr(self, field.name)[:count] for field in fields(self)))


def _odd_cdf(block: _Scratch) -> Floats:
    """N(d) - 1/2 at `block.at`, in `block.curve`; `at` is left as it was."""
    rest, node, curve, index = block.rest, block.node, block.curve, block.index
    np.clip(block.at, 0.0, 2.0 * MIDDLE, out=rest)
    np.rint(rest, out=node)
    rest -= node
    np.copyto(index, node, casting="unsafe")
    CURVE_2.take(index, out=curve, mode="clip")
    curve *= rest
    CURVE_1.take(index, out=node, mode="clip")
    curve += node
    curve *= rest
    CURVE.take(index, out=node, mode="clip")
    curve += node
    return curve


def _prepare(book: Contracts, groups: int, factors: int) -> tuple[list[_Plan], Floats, Floats]:
    """The curved contracts by model and factor, and everything straight as one position (groups, factors) and cash (groups).

    With N(d) = 1/2 + C(d): call = D [(F - K)/2 + F C(d1) - K C(d2)] and put = call - D (F - K), so the straight part of an option
    is right/2 x D x (F - K) and the curved part is the same for both.
    """
    weight = book.quantity * book.discount
    straight = np.where(book.model == Model.LINEAR, weight, 0.5 * book.right * weight)
    deviation = book.vol * np.sqrt(book.expiry_years)
    linear, constant = np.zeros((groups, factors)), np.zeros(groups)
    np.add.at(linear, (book.group, book.factor), straight)
    np.add.at(constant, book.group, -straight * book.strike)
    # Without vol or time left the value is intrinsic: the limit is reached, to the last digit, at a deviation of 1e-12 (of the strike).
    least = np.where(book.model == Model.NORMAL, 1e-12 * np.maximum(np.abs(book.strike), 1.0), 1e-12)
    deviation = np.maximum(deviation, least)
    return list(_plans(book, weight, deviation, groups)), linear, constant


def _plans(book: Contracts, weight: Floats, deviation: Floats, groups: int) -> Iterator[_Plan]:
    for model in (Model.LOGNORMAL, Model.NORMAL):
        for factor in np.unique(book.factor[book.model == model]):
            rows = np.flatnonzero((book.model == model) & (book.factor == factor))
            weights = np.zeros((groups, rows.size))
            weights[book.group[rows], np.arange(rows.size)] = weight[rows]
            yield _Plan(model, int(factor), book.strike[rows], deviation[rows], weights)


def _valuable(contracts: Contracts, levels: Floats) -> tuple[Indices, tuple[Failure, ...]]:
    if contracts.factor.size and (contracts.factor.min() < 0 or contracts.factor.max() >= len(levels)):
        raise RiskError(Cause.SHAPES_DIFFER, f"contracts name factors beyond the {len(levels)} of the scenarios")
    if contracts.group.size and contracts.group.min() < 0:
        raise RiskError(Cause.SHAPES_DIFFER, "groups count from 0")
    lognormal, option = contracts.model == Model.LOGNORMAL, contracts.model != Model.LINEAR
    least = levels.min(axis=1)[contracts.factor]
    numbers = (contracts.right, contracts.quantity, contracts.strike, contracts.vol, contracts.expiry_years, contracts.discount)
    checks = [
        *((Cause.NOT_FINITE, column, ~np.isfinite(column)) for column in numbers),
        (Cause.VOL_NEGATIVE, contracts.vol, option & (contracts.vol < 0)),
        (Cause.EXPIRY_NEGATIVE, contracts.expiry_years, option & (contracts.expiry_years < 0)),
        (Cause.STRIKE_NOT_POSITIVE, contracts.strike, lognormal & (contracts.strike <= 0)),
        (Cause.FORWARD_NOT_POSITIVE, least, lognormal & (least <= 0)),
    ]
    refused: dict[int, Failure] = {}
    for cause, column, bad in checks:
        for at in np.flatnonzero(bad).tolist():
            refused.setdefault(at, Failure(at, cause, float(column[at])))
    keep = np.delete(np.arange(contracts.model.size), list(refused))
    return keep, tuple(refused[at] for at in sorted(refused))
