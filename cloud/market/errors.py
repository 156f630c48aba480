"""Why a market computation was refused. The facts are attributes; the message names the item and what to do about it."""

from collections.abc import Sequence


class MarketError(ValueError):
    """The input cannot give a true market number."""


class QuoteError(MarketError):
    """A quote is malformed, or does not fit the curve it is meant for."""


class InconsistentQuotes(QuoteError):
    """Quotes that no single curve can reprice; `quotes` are the labels of the conflicting ones, the offending one last."""

    def __init__(self, message: str, quotes: Sequence[str]) -> None:
        super().__init__(message)
        self.quotes = tuple(quotes)


class NotPositiveSemidefinite(MarketError):
    """A matrix that is no covariance; `eigenvalue` is its most negative one."""

    def __init__(self, message: str, eigenvalue: float) -> None:
        super().__init__(message)
        self.eigenvalue = eigenvalue


class HistoryTooShort(MarketError):
    """Fewer observations than the estimate needs."""

    def __init__(self, what: str, found: int, needed: int) -> None:
        super().__init__(f"{what}: {found} observations, at least {needed} are needed")
        self.found, self.needed = found, needed
