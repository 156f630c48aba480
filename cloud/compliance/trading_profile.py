"""What a tenant's profile says of its trading: how the law sees its products, who its counterparties are, and which days it does not work.

A deal says "gas at TTF"; whether that is natural gas delivered in the EU, and on what kind of market it is dealt, is said here. Part of the
profile's text: profile.py reads that, this its tables.

    [trading]
    investment_firm = false
    holidays = [2026-12-25, 2027-01-01]

    [[product]]
    name = "gas"
    place = "TTF"
    commodity = "gas"
    eu_delivery = true
    market = "bilateral"

    [[counterparty]]
    name = "Acme"
    lei = "54930084UKLVMY22DS16"
    intragroup = false
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from cloud.compliance.identifiers import lei_is_valid
from protocols.tomlfile import Section

MOST: Final = 5_000  # products, counterparties, holidays
_LONGEST: Final = 200


class ProductCommodity(StrEnum):
    ELECTRICITY = "electricity"
    GAS = "gas"
    OIL = "oil"
    OTHER = "other"


class Market(StrEnum):
    """Where a product is dealt in: a regulated market, another organised one (MTF, OTF, broker), or between two parties."""

    REGULATED = "regulated"
    ORGANISED = "organised"
    BILATERAL = "bilateral"


@dataclass(frozen=True, slots=True)
class Product:
    """market None: not said, so that a rule that asks for it does not know. venue: its code, '' where there is none."""

    name: str
    place: str
    commodity: ProductCommodity
    eu_delivery: bool
    market: Market | None = None
    venue: str = ""

    @property
    def wholesale_energy(self) -> bool:
        """REMIT art. 2(4): electricity or natural gas with delivery in the Union."""
        return self.eu_delivery and self.commodity in (ProductCommodity.ELECTRICITY, ProductCommodity.GAS)


@dataclass(frozen=True, slots=True)
class Counterparty:
    name: str
    lei: str
    intragroup: bool | None = None


@dataclass(frozen=True, slots=True)
class Trading:
    """investment_firm None: not said."""

    investment_firm: bool | None = None
    holidays: frozenset[date] = frozenset()
    products: tuple[Product, ...] = ()
    counterparties: tuple[Counterparty, ...] = ()


NO_TRADING: Final = Trading()


def read_trading(root: Section) -> Trading:
    """The three tables of a profile, each of which may be absent. Raises protocols.tomlfile.ConfigError."""
    firm, holidays = None, frozenset[date]()
    if "trading" in root:
        section = root.section("trading")
        firm = section.boolean("investment_firm") if "investment_firm" in section else None
        holidays = _holidays(section)
        section.done()
    products: dict[tuple[str, str], Product] = {}
    for section in _sections(root, "product"):
        product = _product(section)
        if (product.name, product.place) in products:
            raise section.error("name", f'"{product.name}" at "{product.place}" is described twice')
        products[product.name, product.place] = product
    parties: dict[str, Counterparty] = {}
    for section in _sections(root, "counterparty"):
        party = _counterparty(section)
        if party.name in parties:
            raise section.error("name", f'"{party.name}" is described twice')
        parties[party.name] = party
    return Trading(firm, holidays, tuple(products.values()), tuple(parties.values()))


def _sections(root: Section, key: str) -> tuple[Section, ...]:
    found = root.sections(key, optional=True)
    if len(found) > MOST:
        raise root.error(key, f"expected at most {MOST}, found {len(found)}")
    return found


def _product(section: Section) -> Product:
    market = section.choice("market", [one.value for one in Market]) if "market" in section else None
    found = Product(
        _word(section, "name"),
        _word(section, "place"),
        ProductCommodity(section.choice("commodity", [one.value for one in ProductCommodity])),
        section.boolean("eu_delivery"),
        None if market is None else Market(market),
        section.text("venue", ""),
    )
    section.done()
    return found


def _counterparty(section: Section) -> Counterparty:
    lei = section.text("lei")
    if not lei_is_valid(lei):
        raise section.error("lei", f'"lei": expected an LEI whose check digits fit (ISO 17442), found "{lei[:60]}"')
    found = Counterparty(_word(section, "name"), lei, section.boolean("intragroup") if "intragroup" in section else None)
    section.done()
    return found


def _holidays(section: Section) -> frozenset[date]:
    days: Any = section.raw("holidays", [])
    if not isinstance(days, list) or any(not isinstance(day, date) or isinstance(day, datetime) for day in days):
        raise section.error("holidays", '"holidays": expected a list of days such as 2026-12-25 without quotes')
    if len(days) > MOST:
        raise section.error("holidays", f'"holidays": expected at most {MOST} days, found {len(days)}')
    return frozenset(days)


def _word(section: Section, key: str) -> str:
    text = section.text(key)
    if not (0 < len(text) <= _LONGEST and text.isprintable() and text == text.strip()):
        raise section.error(key, f'"{key}": expected 1 to {_LONGEST} printable characters without spaces around, found {text[:60]!r}')
    return text
