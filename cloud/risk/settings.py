"""What a desk decides about its risk run: level, horizon, paths, and how each product's price moves. JSON in, values out.

Not measured and not market data: those come with every run. A key that is not known, missing or impossible raises SettingsError and names
itself; nothing has a silent default that would change a figure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from cloud.market.errors import MarketError
from cloud.market.estimation import FactorsFit, brownian
from cloud.market.factors import Factors, Kind
from cloud.market.history import SERIES, align, load_history
from cloud.market.periods import DAY_US
from cloud.risk.errors import Floats
from protocols.tomlfile import nearest

TRADING_DAYS: Final = 252
MOST_DAYS: Final = 366
MOST_PATHS: Final = 20_000


class SettingsError(ValueError):
    """A setting that cannot be meant: what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class ProductSettings:
    """How the price of a product moves: kind, and either a shipped `history` to estimate from or `volatility` per square root of a year
    (a share when lognormal, money when normal) with its `source`."""

    name: str
    kind: Kind
    history: str | None = None
    volatility: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """days: horizon in UTC days from the day of the run. returns: how many daily returns an estimate rests on. correlation between
    products that are not estimated together. max_quote_age_s: older quotes are not used. site_correlation: common cause of failures."""

    book: str
    currency: str
    level: float
    reference: str
    paths: int
    days: int
    seed: int
    discount_rate: float
    max_quote_age_s: int
    returns: int
    correlation: float
    site_correlation: float
    rho_pv: float
    jump: float
    products: tuple[ProductSettings, ...]

    def factors(self) -> Factors:
        """One Brownian factor per product, in the order of `products`. Raises SettingsError."""
        return _factors(self)


DEFAULTS: Final[Mapping[str, Any]] = {
    "book": "main",
    "currency": "USD",
    "level": 0.99,
    "reference": "plan",
    "paths": 4000,
    "days": 60,
    "seed": 1,
    "discount_rate": 0.04,
    "max_quote_age_s": 4 * 86_400,
    "returns": 500,
    "correlation": 0.0,
    "site_correlation": 0.15,
    "rho_pv": 0.0,
    "jump": 0.0,
}
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "level": (0.5, 0.9999),
    "paths": (200, MOST_PATHS),
    "days": (1, MOST_DAYS),
    "seed": (0, 2**31),
    "discount_rate": (-0.5, 1.0),
    "max_quote_age_s": (1, 366 * 86_400),
    "returns": (30, 5000),
    "correlation": (-1.0, 1.0),
    "site_correlation": (0.0, 1.0),
    "rho_pv": (-1.0, 1.0),
    "jump": (-0.99, 10.0),
}


def parse_settings(text: bytes) -> DeskSettings:
    """JSON with any of DEFAULTS' keys and `products`: {name: {"kind", "history" | "volatility" and "source"}}. Raises SettingsError."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"the settings are not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError("the settings are one JSON object")
    unknown = set(document) - set(DEFAULTS) - {"products"}
    if unknown:
        name = min(unknown)
        raise SettingsError(f'"{name}" is no setting{nearest(name, [*DEFAULTS, "products"])}')
    values = {name: _value(name, document.get(name, default), default) for name, default in DEFAULTS.items()}
    if values["reference"] not in {"plan", "mean"}:
        raise SettingsError(f'"reference": expected "plan" or "mean", found "{values["reference"]}"')
    products = document.get("products")
    if not isinstance(products, dict) or not products:
        raise SettingsError('"products": expected an object with at least one product')
    return DeskSettings(**values, products=tuple(_product(name, products[name]) for name in sorted(products)))


def _value(name: str, value: object, default: object) -> Any:
    if isinstance(default, str):
        if not isinstance(value, str) or not value:
            raise SettingsError(f'"{name}": expected text, found {value!r}')
        return value
    if isinstance(value, bool) or not isinstance(value, int if isinstance(default, int) else (int, float)):
        raise SettingsError(f'"{name}": expected a {"whole " if isinstance(default, int) else ""}number, found {value!r}')
    low, high = _RANGES[name]
    if not low <= value <= high:
        raise SettingsError(f'"{name}": expected {low:g} to {high:g}, found {value!r}')
    return value if isinstance(default, int) else float(value)


def _product(name: str, found: object) -> ProductSettings:
    if not isinstance(found, dict) or set(found) - {"kind", "history", "volatility", "source"}:
        raise SettingsError(f'product "{name}": expected kind, and history or volatility with its source')
    kinds = {kind.value: kind for kind in Kind}
    kind = kinds.get(str(found.get("kind")))
    if kind is None:
        raise SettingsError(f'product "{name}": expected kind {" or ".join(kinds)}, found {found.get("kind")!r}')
    history, volatility, source = found.get("history"), found.get("volatility"), found.get("source", "")
    if (history is None) == (volatility is None):
        raise SettingsError(f'product "{name}": expected either "history" or "volatility"')
    if history is not None and history not in SERIES:
        raise SettingsError(f'product "{name}": history {history!r} is not shipped; there are {", ".join(SERIES)}')
    if volatility is not None and (isinstance(volatility, bool) or not isinstance(volatility, int | float) or not 0 <= volatility < 1e6):
        raise SettingsError(f'product "{name}": expected a volatility of 0 or more, found {volatility!r}')
    if volatility is not None and not (isinstance(source, str) and source):
        raise SettingsError(f'product "{name}": a volatility needs its "source"')
    return ProductSettings(name, kind, history, None if volatility is None else float(volatility), str(source))


@lru_cache(maxsize=32)
def _factors(settings: DeskSettings) -> Factors:
    names = tuple(product.name for product in settings.products)
    volatility = np.array([product.volatility or 0.0 for product in settings.products])
    correlation = np.full((len(names), len(names)), settings.correlation)
    np.fill_diagonal(correlation, 1.0)
    for kind in Kind:
        at = [index for index, product in enumerate(settings.products) if product.history and product.kind is kind]
        if not at:
            continue
        fit = _estimated(tuple(str(settings.products[index].history) for index in at), kind, settings.returns)
        volatility[at] = fit.factors.volatility
        correlation[np.ix_(at, at)] = fit.factors.correlation
    try:
        return Factors(names, np.zeros(len(names)), volatility, correlation)
    except MarketError as error:
        raise SettingsError(f'"correlation": {settings.correlation:g} between all of {", ".join(names)}: {error}') from error


def _estimated(histories: tuple[str, ...], kind: Kind, count: int) -> FactorsFit:
    """From the newest `count` returns that the histories have in common."""
    distinct = tuple(dict.fromkeys(histories))
    days, prices = align(*(load_history(name) for name in distinct))
    if len(days) <= count:
        raise SettingsError(f'"returns": the histories have {len(days)} days in common, expected more than {count}')
    at = [distinct.index(name) for name in histories]
    newest: Floats = prices[-count - 1 :, at]
    try:
        return brownian(histories, newest, 1.0 / TRADING_DAYS, kind)
    except MarketError as error:
        raise SettingsError(f"volatility of {', '.join(histories)} from the last {count} returns: {error}") from error


def day_start_us(at_us: int) -> int:
    """The start of the UTC day."""
    return at_us - at_us % DAY_US
