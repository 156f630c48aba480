"""Quotes: one observed forward price each, as booked (Decimal), and the sorting of usable from unusable ones.

Not for curves: whether quotes agree with each other is decided in `curves`. A quote observed after `as_of` is look-ahead and is
never used; a quote older than allowed is stale. Both come back as failures beside the usable ones, nothing is dropped silently.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from cloud.market.errors import QuoteError
from cloud.market.periods import Period


class Profile(Enum):
    """The hours of the period in which the volume flows."""

    BASE = "base"
    PEAK = "peak"
    OFF_PEAK = "off-peak"


class Unusable(Enum):
    FUTURE = "observed after as_of"
    STALE = "older than allowed"
    DELIVERED = "delivery is over"


@dataclass(frozen=True, slots=True)
class Quote:
    """`price` in `currency` per `unit`, for constant delivery over `period` in the hours of `profile`, observed at `as_of_us`."""

    product: str
    place: str
    period: Period
    price: Decimal
    currency: str
    unit: str
    as_of_us: int
    profile: Profile = Profile.BASE

    def __post_init__(self) -> None:
        for name in ("product", "place", "unit"):
            if not getattr(self, name).strip():
                raise QuoteError(f"quote for {self.period.label()}: {name} is empty")
        if not isinstance(self.price, Decimal) or not self.price.is_finite():
            raise QuoteError(f"{self.label()}: the price is not a finite Decimal")
        if len(self.currency) != 3 or not (self.currency.isascii() and self.currency.isalpha() and self.currency.isupper()):
            raise QuoteError(f"{self.label()}: currency {self.currency!r} is not an ISO 4217 code")

    def label(self) -> str:
        return f"{self.product}@{self.place} {self.period.label()} {self.profile.value} {self.price} {self.currency}/{self.unit}"


@dataclass(frozen=True, slots=True)
class Refusal:
    quote: Quote
    reason: Unusable


def usable(quotes: Iterable[Quote], as_of_us: int, max_age_us: int) -> tuple[tuple[Quote, ...], tuple[Refusal, ...]]:
    """The quotes that may be used at `as_of_us`, and the others with the reason. A quote exactly max_age_us old is still fresh."""
    kept: list[Quote] = []
    refused: list[Refusal] = []
    for quote in quotes:
        reason = _reason(quote, as_of_us, max_age_us)
        if reason is None:
            kept.append(quote)
        else:
            refused.append(Refusal(quote, reason))
    return tuple(kept), tuple(refused)


def _reason(quote: Quote, as_of_us: int, max_age_us: int) -> Unusable | None:
    if quote.as_of_us > as_of_us:
        return Unusable.FUTURE
    if as_of_us - quote.as_of_us > max_age_us:
        return Unusable.STALE
    return Unusable.DELIVERED if quote.period.end_us <= as_of_us else None


def latest(quotes: Iterable[Quote]) -> tuple[Quote, ...]:
    """Of quotes for the same product, place, period and profile only the most recently observed; the later in order wins a tie."""
    newest: dict[tuple[str, str, Period, Profile], Quote] = {}
    for quote in quotes:
        key = (quote.product, quote.place, quote.period, quote.profile)
        if key not in newest or quote.as_of_us >= newest[key].as_of_us:
            newest[key] = quote
    return tuple(newest.values())


def as_float(price: Decimal) -> float:
    """The one crossing from booked prices to estimates."""
    return float(price)
