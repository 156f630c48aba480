"""What a booked deal says to the rules: as a derivative, as wholesale energy, as a swap, as a trade on a venue. Pure.

    found = facts_of(Booked(deal, first_us), view, registered, known_us)

A fact the deal and the profile do not say is None, unless somebody has registered it for the subject "deal/<id>". What is registered fills,
and may not contradict what the hub derives: then neither counts, the fact is not known, and the contradiction is told beside the facts.
Derived is only what follows from the form of the deal: a spot deal is no derivative, a future is one that is dealt on a regulated market and
cleared; a forward with delivery may be either, so the deal does not say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Final

from cloud.compliance import facts_json
from cloud.compliance.facts import Derivative, FactsError, Swap, VenueTrade, WholesaleDeal
from cloud.compliance.facts_json import CHECKED
from cloud.compliance.kinds import OF_DEALS
from cloud.compliance.profile import Profile
from cloud.compliance.runs import Stated
from cloud.compliance.trace import day_of, shown
from cloud.compliance.trading_profile import Counterparty, Market, Product
from cloud.trading.deals import ContractTerms, Deal, FixedPrice, Kind

PREFIX: Final = "deal/"
_NO_TERMS: Final = ContractTerms()
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Booked:
    """first_us: when the first version was agreed or captured."""

    deal: Deal
    first_us: int

    @property
    def subject(self) -> str:
        return PREFIX + self.deal.id


@dataclass(frozen=True, slots=True)
class View:
    """The profile by name, for many deals. None: no profile was handed in."""

    profile: Profile | None
    products: Mapping[tuple[str, str], Product] = field(init=False)
    counterparties: Mapping[str, Counterparty] = field(init=False)

    def __post_init__(self) -> None:
        trading = self.profile.trading if self.profile else None
        products = {(one.name, one.place): one for one in trading.products} if trading else {}
        object.__setattr__(self, "products", products)
        object.__setattr__(self, "counterparties", {one.name: one for one in trading.counterparties} if trading else {})

    @property
    def holidays(self) -> frozenset[date]:
        return self.profile.trading.holidays if self.profile else frozenset()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A registered value that the hub derives otherwise, or facts that cannot stand together."""

    subject: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class DealFacts:
    stated: tuple[Stated, ...]
    contradictions: tuple[Contradiction, ...] = ()


def facts_of(
    booked: Booked,
    view: View,
    registered: Mapping[str, Mapping[str, Any]],
    known_us: int,
    utis: Mapping[str, int] | None = None,
    filed: Mapping[str, Mapping[str, Any]] | None = None,
) -> DealFacts:
    """One value of each kind that fits the deal. registered: documents by kind. utis: how many deals use each one. filed: what accepted
    filings say, by kind."""
    stated: list[Stated] = []
    contradictions: list[Contradiction] = []
    for kind in OF_DEALS:
        base = derive(kind, booked, view)
        if base is None:
            continue
        derived = {**base, **(filed or {}).get(kind.__name__, {})}
        given = facts_json.values(kind, registered.get(kind.__name__, {}), f"{booked.subject} {kind.__name__}")
        values, clashes = _filled(kind, derived, given)
        if kind is Derivative and utis is not None and values.get("uti") is not None and values.get("utis_used") is None:
            values["utis_used"] = frozenset((values["uti"],)) if utis.get(values["uti"], 0) > 1 else frozenset()
        values["checked_on"] = day_of(known_us)
        try:
            stated.append(Stated(booked.subject, kind(**values)))
        except FactsError as error:
            clashes.append(f"{error}; none of what is registered counts until it is corrected")
            stated.append(Stated(booked.subject, kind(**base, checked_on=day_of(known_us))))
        contradictions += [Contradiction(booked.subject, kind.__name__, clash) for clash in clashes]
    return DealFacts(tuple(stated), tuple(contradictions))


def registered_utis(registered: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Mapping[str, int]:
    """How many deals each registered UTI stands at. registered: kind, subject, document."""
    counted: dict[str, int] = {}
    for kind, subject, document in registered:
        uti = document.get("uti")
        if kind == Derivative.__name__ and subject.startswith(PREFIX) and isinstance(uti, str):
            counted[uti] = counted.get(uti, 0) + 1
    return counted


def _filled(kind: type, derived: Values, given: Mapping[str, Any]) -> tuple[Values, list[str]]:
    """Derived and registered values together, and what stands against each other."""
    values, clashes = dict(derived), []
    for name, value in given.items():
        if name in CHECKED:
            clashes.append(f'"{name}" is registered, but the hub knows itself until when it looked: leave it out')
        elif derived.get(name) is None or (name == "holidays" and not derived[name]):
            values[name] = value
        elif derived[name] != value:
            clashes.append(
                f'"{name}" is registered as {shown(value)}, the hub derives {shown(derived[name])} from deal, profile and filings: correct the one that is wrong'
            )
            values[name] = derived[name] if name == "holidays" else None
    assert all(name in facts_json.readers(kind) for name in values)
    return values, clashes


def derive(kind: type, booked: Booked, view: View) -> Values | None:
    """What follows for facts of this kind; None where the deal is none of it."""
    return {Derivative: _derivative, WholesaleDeal: _wholesale, Swap: _swap, VenueTrade: _venue_trade}[kind](booked, view)


def _derivative(booked: Booked, view: View) -> Values:
    deal, market, party = booked.deal, _market(booked.deal, view), view.counterparties.get(booked.deal.counterparty)
    return {
        "holidays": view.holidays,
        "is_derivative": _is_derivative(deal),
        "otc": None if market is None else market is not Market.REGULATED,
        "cleared": True if deal.kind is Kind.FUTURE else None,
        "party": view.profile.participant.party if view.profile else None,
        "executed_on": _executed(booked),
        "ended_on": _ended(booked),
        "leis": _leis(deal, view),
        "intragroup": None if party is None else party.intragroup,
    }


def _wholesale(booked: Booked, view: View) -> Values:
    market, simple = _market(booked.deal, view), _simple(booked.deal)
    return {
        "holidays": view.holidays,
        "wholesale_energy": _wholesale_energy(booked.deal, view),
        "standard": None if market in (None, Market.BILATERAL) else True,
        "organised_market": None if market is None else market is not Market.BILATERAL,
        "concluded_on": _executed(booked),
        "simple_terms": simple,
        "framework": False if simple else None,
    }


def _swap(booked: Booked, view: View) -> Values:
    return {
        "holidays": view.holidays,
        "us_swap": False if booked.deal.kind in (Kind.SPOT, Kind.FUTURE) else None,
        "executed_on": _executed(booked),
        "leis": _leis(booked.deal, view),
        "ended_on": _ended(booked),
    }


def _venue_trade(booked: Booked, view: View) -> Values | None:
    """Of a deal that is known to be between two parties there is no trade on a venue."""
    if _market(booked.deal, view) is Market.BILATERAL:
        return None
    firm = view.profile.trading.investment_firm if view.profile else None
    return {"holidays": view.holidays, "investment_firm": firm, "executed_on": _executed(booked)}


def _is_derivative(deal: Deal) -> bool | None:
    if deal.kind is Kind.SPOT:
        return False
    if deal.kind is Kind.FUTURE or not any(leg.physical for leg in deal.legs):
        return True
    return None  # with delivery: it hangs on the venue and the purpose


def _products(deal: Deal, view: View) -> Sequence[Product | None]:
    return [view.products.get((leg.product, leg.place)) for leg in deal.legs]


def _market(deal: Deal, view: View) -> Market | None:
    """A future is dealt in on a regulated market; else as the profile says of every leg alike."""
    if deal.kind is Kind.FUTURE:
        return Market.REGULATED
    found = {None if one is None else one.market for one in _products(deal, view)}
    return found.pop() if len(found) == 1 else None


def _wholesale_energy(deal: Deal, view: View) -> bool | None:
    legs = [None if one is None else one.wholesale_energy for one in _products(deal, view)]
    return True if True in legs else None if None in legs or not legs else False


def _simple(deal: Deal) -> bool:
    """Fixed price and volume, nothing to choose."""
    return deal.option is None and deal.terms == _NO_TERMS and all(isinstance(leg.price, FixedPrice) for leg in deal.legs)


def _executed(booked: Booked) -> date:
    return _day(booked.first_us // 86_400_000_000)


@lru_cache(maxsize=10_000)
def _day(number: int) -> date:
    return day_of(number * 86_400_000_000)


def _ended(booked: Booked) -> date | None:
    """The last day of delivery; a deal that was captured after it does not say when it ended."""
    last = max((leg.last for leg in booked.deal.legs), default=None)
    return last if last is not None and last >= _executed(booked) else None


def _leis(deal: Deal, view: View) -> tuple[str, ...] | None:
    other = view.counterparties.get(deal.counterparty)
    own = view.profile.participant.lei if view.profile else ""
    return (own, other.lei) if own and other else None
