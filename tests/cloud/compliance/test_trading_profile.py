import textwrap
from datetime import date

import pytest

from cloud.compliance import trading_profile
from cloud.compliance.profile import parse_profile
from cloud.compliance.trading_profile import Market, Trading
from protocols.tomlfile import ConfigError

HEAD = '[participant]\nname = "Example"\nparty = "NFC-"\n'
EXAMPLE = HEAD + textwrap.dedent((trading_profile.__doc__ or "").partition("this its tables.\n")[2])


def test_the_tables_of_the_description_are_read() -> None:
    found = parse_profile(EXAMPLE).trading
    (product,), (party,) = found.products, found.counterparties
    assert (product.name, product.place, product.market, product.wholesale_energy) == ("gas", "TTF", Market.BILATERAL, True)
    assert (party.name, party.intragroup) == ("Acme", False)
    assert found.holidays == {date(2026, 12, 25), date(2027, 1, 1)}
    assert found.investment_firm is False


def test_a_profile_without_them_says_nothing_of_trading() -> None:
    assert parse_profile(HEAD).trading == Trading()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('commodity = "gas"', 'commodity = "gass"', 'expected one of'),
        ('market = "bilateral"', 'market = "otc"', "expected one of regulated, organised, bilateral"),
        ("eu_delivery = true", "", 'key "eu_delivery" is missing'),
        ("eu_delivery = true", "eu_delivry = true", 'key "eu_delivery" is missing'),
        ("54930084UKLVMY22DS16", "54930084UKLVMY22DS61", "54930084UKLVMY22DS61"),
        ('name = "Acme"', 'name = " Acme"', "without spaces around"),
        ("2026-12-25", '"2026-12-25"', "expected a list of days"),
        ("2026-12-25", "2026-12-25T00:00:00Z", "expected a list of days"),
        ("intragroup = false", "colour = 1", 'unknown key "colour"'),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_line(old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"profile.toml:\d+: ") as caught:
        parse_profile(EXAMPLE.replace(old, new, 1))
    assert told in str(caught.value)


@pytest.mark.parametrize("table", ["[[product]]", "[[counterparty]]"])
def test_what_is_described_twice_is_refused(table: str) -> None:
    again = EXAMPLE[EXAMPLE.index(table) :].split("\n\n")[0]
    with pytest.raises(ConfigError, match="described twice"):
        parse_profile(f"{EXAMPLE}\n{again}\n")
