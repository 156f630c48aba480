"""The pages of the desk in a real browser: what they show is what the API says, live, down to the signed batches."""

import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from playwright.sync_api import Locator, expect

from cloud.evidence.again import recompute
from cloud.recompute import REGISTRY
from protocols.batch import evidence, pedigree
from tests.cloud.web.axe import grave
from tests.cloud.web.browser import Site, Tab

T = TypeVar("T")
SMALL = """[...document.querySelectorAll("main a, main button")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 18).map((one) => one.outerHTML)"""
WIDTHS = [(360, "ar", "dark"), (768, "en", "light"), (1440, "ar", "light")]


def whole(value: float) -> str:
    return f"{0.0 if abs(value) < 0.5 else value:,.0f}"


def result(site: Site, kind: str) -> Any:
    return next(one for one in site.get("/v1/results") if one["kind"] == kind)


def still(site: Site, tab: Tab, read: Callable[[], T]) -> tuple[Any, T]:
    """What is read from the page, and the row of evidence that the page showed before and after."""

    def once() -> tuple[Any, T] | None:
        code = tab.page.locator(".stand code")
        before, found = code.get_attribute("title"), read()
        return (site.get(f"/v1/evidence/{before}"), found) if code.get_attribute("title") == before else None

    return cast(tuple[Any, T], site.until(once, "a page that stands still"))


def rows(table: Locator) -> dict[str, list[str]]:
    """First cell -> the others."""
    cells = [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in table.locator("tbody tr").all()]
    return {row[0]: row[1:] for row in cells}


@pytest.fixture
def trader(tab: Tab) -> Tab:
    tab.sign_in("trader")
    return tab


def test_the_figures_of_risk_are_those_of_the_row_that_it_names(site: Site, trader: Tab) -> None:
    trader.open("/risk")
    expect(trader.page.locator(".figures").first).to_contain_text("VaR")
    regions = [trader.page.get_by_role("region", name=name) for name in ("VaR by cause", "ES by unit")]
    row, (figures, split, units) = still(
        site, trader, lambda: (trader.page.locator(".figures").first.inner_text(), rows(regions[0]), rows(regions[1]))
    )
    output = row["output"]
    for name in ("var", "es", "expected", "plan"):
        assert whole(abs(output[name])) in figures, name
    names = {"price": "price alone", "volume": "volume alone", "joint": "joint", "interaction": "interaction"}
    assert {key: split[name][0] for key, name in names.items()} == {key: whole(output["split"][key]) for key in names}
    assert split["data quality"][0] == whole(output["quality"]["add_on"])
    assert units.pop("ES")[0] == whole(output["es"])
    assert {name: cells[0] for name, cells in units.items()} == {name: whole(value) for name, value in output["units"].items()}


def test_hedge_stresses_and_sensitivities_are_shown(site: Site, trader: Tab) -> None:
    site.until(lambda: [one for one in site.get("/v1/results") if one["kind"] == "detail"], "details of the risk")
    trader.open("/risk")
    output = result(site, "risk")["output"]
    if output["hedge"]:
        statement = output["hedge"]["statement"]
        expect(trader.page.get_by_role("region", name="Hedge")).to_contain_text(statement[0].upper() + statement[1:])
    else:
        expect(trader.page.get_by_role("region", name="Hedge")).to_contain_text("nothing to hedge with")
    stresses = rows(trader.page.get_by_role("region", name="Named stresses"))
    assert list(stresses) == [name for name, _ in result(site, "detail")["output"]["stress"]]
    assert list(rows(trader.page.get_by_role("region", name="ES by deal"))) == [name for name, _ in output["deals"]]


def test_supply_stands_beside_what_is_owed(site: Site, trader: Tab) -> None:
    trader.open("/supply")
    forecast = result(site, "forecast")
    total, unit = forecast["output"]["total"], forecast["output"]["unit"]
    facts = trader.page.locator(".stream dl")
    expect(facts).to_contain_text(f"{whole(sum(forecast['output']['nameplate']))} {unit}")
    for name in ("p5", "p50", "p95"):
        assert re.search(r"[\d,]+ " + unit, facts.inner_text()), (name, total)
    owed = result(site, "risk")["output"]["committed"][forecast["subject"]]
    expect(facts).to_contain_text(f"{whole(sum(owed))} {unit}")
    behind = rows(trader.page.get_by_role("region", name="Assets behind"))
    assert list(behind) == forecast["output"]["units"]
    expect(trader.page.locator(".stream canvas")).to_have_count(1)


def test_positions_are_exact_sums_by_month(site: Site, trader: Tab) -> None:
    trader.open("/desk")
    table = trader.page.locator("section.table[aria-label=Positions]")
    expect(table.get_by_role("row")).not_to_have_count(0)
    sold: dict[str, Decimal] = defaultdict(Decimal)
    for row in site.get("/v1/positions")["positions"]:
        middle = datetime.fromtimestamp((row["start_us"] + row["end_us"]) / 2e6, UTC)
        sold[f"{middle:%Y-%m}"] += Decimal(row["sold"])
    told: dict[str, Decimal] = defaultdict(Decimal)
    for row in table.locator("tbody tr").all():
        cells = row.locator("td").all_inner_texts()
        told[cells[0][:7]] += Decimal(cells[5].replace(",", ""))
    assert {month: volume for month, volume in told.items() if volume} == {month: volume for month, volume in sold.items() if volume}
    matrix = trader.page.get_by_role("region", name="Positions by product, place and month").locator("thead")
    expect(matrix).to_contain_text(min(sold))


def test_the_measure_of_the_matrix_and_the_open_deal_stand_in_the_address(site: Site, trader: Tab) -> None:
    trader.open("/desk")
    trader.page.get_by_label("Measure").select_option("sold")
    expect(trader.page).to_have_url(re.compile("measure=sold"))
    deal = site.get("/v1/deals")["deals"][0]["id"]
    trader.page.get_by_role("button", name=deal, exact=True).first.click()
    expect(trader.page).to_have_url(re.compile(f"deal={deal}"))
    trader.page.reload()
    dialog = trader.page.get_by_role("dialog", name=f"Deal {deal}")
    expect(dialog).to_contain_text("version 1")
    trader.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(trader.page.get_by_label("Measure")).to_have_value("sold")


def test_quotes_are_those_of_the_hub(site: Site, trader: Tab) -> None:
    trader.open("/desk")
    table = trader.page.locator("section.table[aria-label=Quotes]")
    quotes = site.get("/v1/quotes")["quotes"]
    expect(table.locator("tbody tr")).to_have_count(min(len(quotes), 60))
    expect(table).to_contain_text(f"{quotes[0]['price']} {quotes[0]['currency']}/{quotes[0]['unit']}")


def step(tab: Tab, name: str) -> Locator:
    return tab.page.get_by_role("region", name="Drill-down").get_by_role("link", name=name, exact=True)


def drill(site: Site) -> tuple[str, str, str]:
    """Stream, asset and tag that a figure can be followed to."""
    forecast = result(site, "forecast")
    asset = forecast["output"]["units"][0]
    model = site.get("/v1/assets")
    tag = next(one for one in model["assets"] if one["name"] == asset)["tags"][0]["tag"]
    return forecast["subject"], asset, tag


def test_four_clicks_lead_from_a_line_to_its_signed_batches_and_a_proof_that_recomputes(site: Site, trader: Tab, tmp_path: Path) -> None:
    stream, asset, tag = drill(site)
    trader.open("/risk")
    trader.page.get_by_role("region", name="ES by unit").get_by_role("link", name=asset, exact=True).click()
    step(trader, asset).click()
    step(trader, tag).click()
    expect(trader.page.locator(".trail canvas")).to_have_count(1)
    step(trader, "Signed batches behind the VaR").click()
    batches = trader.page.get_by_role("region", name="Signed batches")
    expect(batches).to_contain_text("entry hash")
    (figure,) = re.findall(r"proof=([0-9a-f]{64})", trader.page.url)
    assert [part in trader.page.url for part in (f"line={asset}", f"stream={stream}", f"asset={asset}", "tag=")] == [True] * 4
    urn, _, epoch, number, entry = batches.locator("tbody tr").first.locator("td").all_inner_texts()
    assert urn.endswith(f":{tag.split('/')[0]}")
    with trader.page.expect_download() as kept:
        trader.page.get_by_role("button", name="Download the proof of this VaR").click()
    path = tmp_path / kept.value.suggested_filename
    kept.value.save_as(path)
    report = pedigree.verify(path.read_bytes())
    assert report.ok
    assert report.pedigree is not None
    assert report.pedigree.target.hex() == figure
    assert entry in {ref.entry.hex() for row in _rows(report.pedigree) for ref in row.inputs.batches}
    assert int(epoch) >= 0 < int(number.replace(",", ""))
    compared = list(
        recompute(report.pedigree, REGISTRY)
    )  # in this process, which computed the figures: other processors differ in the last bit
    assert [one for one in compared if one.differences] == []
    assert len(compared) == len(report.pedigree.rows)


def _rows(found: pedigree.Pedigree) -> list[Any]:
    return [evidence.decode(row.document) for row in found.rows]


def test_every_step_can_be_reloaded_and_gone_back_from(site: Site, trader: Tab) -> None:
    stream, asset, tag = drill(site)
    for query, told in ((f"stream={stream}", f"Assets of {stream}"), (f"asset={asset}", f"Tags of {asset}")):
        trader.open(f"/risk?{query}")
        expect(trader.page.get_by_role("region", name=told)).to_be_visible()
    trader.open(f"/risk?stream={stream}&asset={asset}&tag={tag}")
    expect(trader.page.get_by_text("newest 15 minutes")).to_be_visible()
    trader.page.get_by_role("navigation", name="Drill-down").get_by_role("link", name=asset, exact=True).click()
    expect(trader.page.get_by_role("region", name=f"Tags of {asset}")).to_be_visible()
    trader.page.go_back()
    expect(trader.page.get_by_text("newest 15 minutes")).to_be_visible()


def test_a_proof_that_is_not_there_says_so(site: Site, trader: Tab) -> None:
    stream, asset, tag = drill(site)
    trader.open(f"/risk?stream={stream}&asset={asset}&tag={tag}&proof={'ab' * 32}")
    expect(trader.page.get_by_role("alert")).to_contain_text("there is no evidence abab")
    trader.faults.clear()  # the 404


def test_an_event_in_the_field_moves_the_figures_without_a_reload(site: Site, trader: Tab) -> None:
    trader.open("/risk")
    code = trader.page.locator(".stand code")
    before = code.get_attribute("title")
    site.send(8, -40.0)
    expect(code).not_to_have_attribute("title", str(before))
    expect(trader.page.get_by_role("region", name="Assets behind it").first).to_contain_text(re.compile("critical|warning|watch"))
    expect(trader.page.locator(".stand")).to_contain_text(re.compile(r"sensor to VaR [\d,]+\.\d\d s"))
    assert trader.page.evaluate("performance.getEntriesByType('navigation').length") == 1


EXACT = [
    (["0.1", "0.2"], "0.3", "0"),
    (["9007199254740993", "0.000000000000000001"], "9,007,199,254,740,993.000000000000000001", "9,007,199,254,740,993"),
    (["1E+3", "-2.50"], "997.5", "998"),
    (["-0.4", "-0.1"], "-0.5", "-1"),
    (["-1234567.4"], "-1,234,567.4", "-1,234,567"),
    (["0E-6", "0"], "0", "0"),
    (["1", "much"], "–", "–"),
    (["NaN"], "–", "–"),
]


def test_decimals_add_up_to_the_last_digit(trader: Tab) -> None:
    trader.open("/desk")
    script = """async (cases) => {
      const v = await import("/trade/book.mjs");
      return cases.map((given) => { const sum = given.map(v.exact).reduce(v.plus); return [v.exactly(sum), v.rounded(sum)]; });
    }"""
    assert trader.page.evaluate(script, [given for given, _, _ in EXACT]) == [[said, as_whole] for _, said, as_whole in EXACT]


MONTHS = """async ([booked, outputs, book]) => {
  const v = await import("/trade/book.mjs");
  return v.months(booked, v.produced(outputs.map((output) => ({ output })), book)).map((line) => [line.period, line.days, v.exactly(line.net), line.expected === null ? null : v.exactly(line.expected), line.open === null ? null : v.exactly(line.open)]);
}"""


def test_expected_production_stands_beside_the_sales_of_the_same_days(trader: Tab) -> None:
    """A forecast of 3 days from 29 November, sales of 1000.5 a day from 27 November to 2 December."""
    trader.open("/desk")
    day_us = 86_400_000_000
    start = int(datetime(2026, 11, 27, tzinfo=UTC).timestamp() * 1e6)
    common = {"book": "main", "product": "WTI", "place": "Cushing", "unit": "bbl"}
    booked = [
        {
            **common,
            "start_us": start + at * day_us,
            "end_us": start + (at + 1) * day_us,
            "bought": "0",
            "sold": "1000.5",
            "net": "-1000.5",
            "expected": "0",
        }
        for at in range(6)
    ]
    output = {"product": "WTI", "place": "Cushing", "unit": "bbl", "start_us": start + 2 * day_us, "expected": [10.25, 20.5, 30.0]}
    assert trader.page.evaluate(MONTHS, [booked, [output], "main"]) == [
        ["2026-11", "27–28", "-2,001", None, None],
        ["2026-11", "29–30", "-2,001", "30.75", "-1,970.25"],
        ["2026-12", "01–01", "-1,000.5", "30", "-970.5"],
        ["2026-12", "02–02", "-1,000.5", None, None],
    ]


def test_pages_of_other_roles_stay_closed(tab: Tab) -> None:
    tab.sign_in("field-engineer")
    tab.open("/account")
    for path in ("/risk", "/desk", "/supply", "/admin", "/approvals"):
        tab.page.goto(f"{tab.site.url}{path}")
        expect(tab.page.locator("main")).to_contain_text("does not open this page")


@pytest.mark.parametrize(("width", "language", "theme"), WIDTHS)
def test_the_pages_fit_their_window(trader: Tab, width: int, language: str, theme: str) -> None:
    trader.look(language, theme)
    trader.page.set_viewport_size({"width": width, "height": 800})
    for path in ("/risk", "/desk", "/supply"):
        trader.open(path)
        expect(trader.page.locator("main table").first).to_be_visible()
        trader.fits()
        assert trader.page.evaluate(SMALL) == []


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1440), ("ar", "dark", 360)])
def test_the_steps_of_the_drill_down_are_for_everybody(site: Site, trader: Tab, language: str, theme: str, width: int) -> None:
    stream, asset, tag = drill(site)
    trader.look(language, theme)
    trader.page.set_viewport_size({"width": width, "height": 900})
    steps = [f"line={asset}", f"stream={stream}", f"asset={asset}", f"tag={tag}", f"proof={result(site, 'risk')['id']}"]
    for depth in range(2, 6):
        trader.open(f"/risk?{'&'.join(steps[:depth])}")
        expect(trader.page.locator(".trail")).to_be_visible()
        expect(trader.page.locator("[aria-busy=true], .skeleton")).to_have_count(0)
        assert grave(trader) == [], depth
        trader.fits()
