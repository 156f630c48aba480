"""The trader's page in a real browser: what it shows is what the API says, down to the signed batches, live, in both themes, at any width."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import desk_hub, desk_story
from tests.e2e.browser import CHROMIUM, Browser, browsing
from tests.e2e.desk_hub import TOKEN, DeskHub

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")

LINE, TAG = "WELL-A", "rig1/well1.p_tpt"
DEEPEST = f"line={LINE}&stream=crude&asset={LINE}&tag={TAG}"


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def browser(tab: Browser) -> Browser:
    tab.command("Page.navigate", url="about:blank")
    tab.wait("location.href === 'about:blank'")
    tab.faults.clear()
    tab.requests.clear()
    tab.shape(1400, 900, "light")
    return tab


@pytest.fixture
def hub() -> Iterator[DeskHub]:
    story = desk_story.begin(time.time_ns() // 1000)
    story.step(60, detail=True)
    with desk_hub.serving(story) as serving:
        yield serving


def visit(browser: Browser, hub: DeskHub, query: str = "") -> None:
    browser.open(f"{hub.url}/desk.html{f'?{query}' if query else ''}#token={TOKEN}")
    browser.wait_text("VaR by cause")
    browser.wait('document.querySelector("[role=status]").innerText === "live"', "a live page")


def risk(hub: DeskHub) -> dict[str, Any]:
    output: dict[str, Any] = hub.story.shown["risk", "main"]["output"]
    return output


def tell(hub: DeskHub, seconds: int = 1, **story: Any) -> None:
    for result in hub.story.step(seconds, **story):
        hub.tell("result", result)


def whole(value: float) -> str:
    return f"{value:,.0f}".replace("-0", "0") if abs(value) < 0.5 else f"{value:,.0f}"


def lines(browser: Browser, caption: str) -> dict[str, list[str]]:
    """Rows of the table with this caption: first cell -> the others."""
    script = (
        f"[...document.querySelectorAll('table')].find((table) => table.caption?.innerText.startsWith({json.dumps(caption)}))"
        "?.tBodies[0] && [...[...document.querySelectorAll('table')].find((table) => table.caption?.innerText.startsWith("
        f"{json.dumps(caption)})).tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    )
    return {cells[0]: cells[1:] for cells in browser.look(script)}


def test_the_figures_are_those_of_the_api(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    output, text = risk(hub), browser.text()
    for name in ("var", "es", "expected", "plan"):
        assert whole(output[name]) in text
    assert "99 % over 60 days, loss against the plan, USD" in text
    shown = lines(browser, "VaR by cause")
    names = {"price": "price alone", "volume": "volume alone", "joint": "joint", "interaction": "interaction"}
    assert {key: shown[name][0] for key, name in names.items()} == {key: whole(output["split"][key]) for key in names}
    assert shown["data quality"][0] == whole(output["quality"]["add_on"])
    units = lines(browser, "ES by unit")
    assert units.pop("ES")[0] == whole(output["es"])
    assert {name: cells[0] for name, cells in units.items()} == {name: whole(value) for name, value in output["units"].items()}
    assert browser.faults == []


def test_supply_stands_beside_what_is_owed(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    forecast, text = hub.story.shown["forecast", "crude"]["output"], browser.text()
    owed = sum(risk(hub)["committed"]["crude"])
    assert owed == pytest.approx(64_000.5 * 60)
    for value in (forecast["total"]["p5"], forecast["total"]["p50"], forecast["total"]["p95"], sum(forecast["nameplate"]), owed):
        assert f"{whole(value)} bbl" in text
    assert browser.look("document.querySelectorAll('.stream canvas').length") == 1


def test_positions_are_exact_sums_by_month(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    sold: dict[str, Decimal] = {}
    for row in hub.story.positions()["positions"]:
        middle = time.gmtime((row["start_us"] + row["end_us"]) / 2e6)
        month = time.strftime("%b %Y", middle)
        sold[month] = sold.get(month, Decimal()) + Decimal(row["sold"])
    section = browser.look("document.querySelector('[aria-label=Positions]').innerText")
    for month, volume in sold.items():
        assert re.search(rf"{month}\s+WTI.*\s{re.escape(f'{volume.normalize():,f}')}\s", section), (month, volume, section)


def test_expected_production_stands_beside_the_sales_of_the_same_days(browser: Browser, hub: DeskHub) -> None:
    today = datetime.now(UTC).date()
    longer = desk_story.deal(
        "LONG-1", today - timedelta(days=3), today + timedelta(days=150), "1000.5", hub.story.deals[0].legs[0].price.price
    )
    hub.story.deals = (*hub.story.deals, longer)
    visit(browser, hub)
    rows = browser.look(
        "[...document.querySelector('[aria-label=Positions] tbody').rows].map((row) => [...row.cells].slice(4).map((cell) => cell.innerText))"
    )
    number = [[None if text == "no value" else Decimal(text.replace(",", "")) for text in row[:5]] for row in rows]
    foreseen = sum(hub.story.shown["forecast", "crude"]["output"]["expected"])
    assert sum(row[1] for row in number) == Decimal("1000.5") * 154 + Decimal("64100.5") * 60
    assert sum(row[3] or 0 for row in number) == pytest.approx(Decimal(foreseen), abs=3)
    beyond = [row for row in number if row[3] is None]
    assert sum(row[1] for row in beyond) == Decimal("1000.5") * 94
    assert all(row[4] is None for row in beyond)
    assert all(abs(row[2] + row[3] - row[4]) <= 1 for row in number if row[3] is not None)


def test_what_is_refused_and_what_forwards_leave_is_said(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    text = browser.text()
    assert "Not in these figures: 1 item" in text
    assert "ODD-1: the deal cannot be valued as it stands" in text
    assert "deal ODD-1 is in EUR, the book is valued in USD" in text
    statement = risk(hub)["hedge"]["statement"]
    assert statement[0].upper() + statement[1:] in text
    assert whole(risk(hub)["hedge"]["var_after"]) in text
    assert "all streams out, prices +25 %" in text
    assert list(lines(browser, "Change by a repair now")) == [f"WELL-{letter}" for letter in "ABCD"]


def test_four_clicks_lead_from_a_line_to_its_signed_batches(browser: Browser, hub: DeskHub, tmp_path: Path) -> None:
    visit(browser, hub)
    row = hub.story.shown["risk", "main"]["id"]
    browser.click("td a", LINE)
    browser.wait_text("Assets of crude")
    browser.click(".trail td a", LINE)
    browser.wait_text(f"Tags of {LINE}")
    browser.click(".trail td a", TAG)
    browser.wait("document.querySelector('.trail canvas') && true", "the chart of the tag")
    browser.click(".trail a", "Signed batches behind the VaR")
    browser.wait_text("entry hash")
    health = hub.story.rows[hub.story.shown["health", "field"]["id"]]
    (batch,) = [one for one in health["inputs"]["batches"] if one["gateway"].endswith("rig1")]
    shown = browser.look("document.querySelector('.trail tbody').innerText")
    assert re.sub(r"\s+", " ", shown).strip() == f"{batch['gateway']} live {batch['epoch']} {batch['seq']} {batch['entry']}"
    assert row in browser.look("document.querySelector('.trail').innerText")
    assert browser.look("location.search") == f"?{DEEPEST.replace('/', '%2F')}&proof={row}"
    browser.keep_downloads(tmp_path)
    browser.click("button", "Download the proof of this VaR")
    kept = tmp_path / f"var-{row[:16]}.qzb"
    _until(lambda: kept.exists() and kept.read_bytes().startswith(b"proof "))
    assert browser.faults == []


def _until(condition: Any) -> None:
    until = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_every_step_can_be_reloaded_and_gone_back_from(browser: Browser, hub: DeskHub) -> None:
    steps = {"stream=crude": "Assets of crude", f"asset={LINE}": f"Tags of {LINE}", DEEPEST: "newest 15 minutes"}
    for query, text in steps.items():
        visit(browser, hub, query)
        browser.wait_text(text)
    browser.click(".crumbs a", LINE)
    browser.wait_text(f"Tags of {LINE}")
    browser.look("history.back()")
    browser.wait_text("newest 15 minutes")
    assert browser.look("location.search") == f"?{DEEPEST}"


def test_a_proof_stays_with_the_figure_it_was_asked_of(browser: Browser, hub: DeskHub) -> None:
    first = hub.story.shown["risk", "main"]["id"]
    tell(hub, 20, fallen=40.0)
    visit(browser, hub, f"{DEEPEST}&proof={first}")
    browser.wait_text("entry hash")
    assert browser.look("document.querySelector('.trail tbody').innerText").split()[3] == "1"
    assert first in browser.look("document.querySelector('.trail').innerText")


def test_batches_of_a_silent_gateway_are_found_further_back(browser: Browser, hub: DeskHub) -> None:
    tell(hub, 3, silent="rig1")
    tell(hub, 3, silent="rig1")
    row = hub.story.shown["risk", "main"]["id"]
    visit(browser, hub, f"{DEEPEST}&proof={row}")
    browser.wait_text("health, 2 back")
    assert browser.look("document.querySelector('.trail tbody').innerText").split()[:4] == ["urn:qz:gw:rig1", "live", "7", "1"]


def test_a_proof_that_is_not_there_says_so(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub, f"{DEEPEST}&proof={'ab' * 32}")
    browser.wait_text("there is no evidence abab")


def test_the_drill_down_can_be_walked_with_the_keyboard(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    focused = "document.activeElement.innerText"
    for wanted, arrived in (
        (LINE, "Assets of crude"),
        (LINE, f"Tags of {LINE}"),
        (TAG, "newest 15 minutes"),
        ("Signed batches behind the VaR", "entry hash"),
    ):
        for _ in range(60):
            browser.press("Tab", 9)
            if browser.look(focused) == wanted:
                break
        assert browser.look(focused) == wanted
        browser.press("Enter", 13)
        browser.wait_text(arrived)


def test_a_failing_well_moves_the_figures_without_a_reload(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    before = risk(hub)["var"]
    tell(hub, 20, fallen=40.0)
    after = risk(hub)
    assert after["var"] > before
    browser.wait_text(whole(after["es"]))
    assert lines(browser, "VaR by cause")["joint"][0] == whole(after["split"]["joint"])
    text = browser.text()
    assert "■ critical" in text
    assert "pressure 33 %" in text
    assert "sensor to VaR 19.70 s" in text, "the sample that waited longest"
    assert browser.look("performance.getEntriesByType('navigation').length") == 1


def test_nothing_moves_on_the_page_while_it_updates(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub, f"asset={LINE}")
    browser.wait("document.querySelector('.chart canvas') && true")
    browser.look("new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => seen(true))))")
    browser.look(
        "void new PerformanceObserver((list) => { for (const one of list.getEntries()) window.moved = (window.moved ?? 0) + one.value; })"
        ".observe({ type: 'layout-shift', buffered: false })"
    )
    for fallen in (1.0, 2.0, 0.0):
        tell(hub, 1, fallen=fallen)
        browser.wait_text(whole(risk(hub)["es"]))
    assert browser.look("window.moved ?? 0") < 0.01


@pytest.mark.parametrize(("age_s", "state"), [(2, "live"), (30, "DELAYED"), (4000, "DELAYED")])
def test_an_old_figure_is_never_shown_as_live(browser: Browser, age_s: int, state: str) -> None:
    story = desk_story.begin(time.time_ns() // 1000 - age_s * 1_000_000)
    story.step(60)
    with desk_hub.serving(story) as hub:
        browser.open(f"{hub.url}/desk.html#token={TOKEN}")
        browser.wait(f'document.querySelector("[role=status]")?.innerText.endsWith("{state}")', state)


def test_age_is_told_by_the_hubs_clock(browser: Browser) -> None:
    """The reader's clock is an hour behind."""
    story = desk_story.begin(time.time_ns() // 1000 + 3_600_000_000)
    story.step(60)
    with desk_hub.serving(story) as hub:
        hub.skew_s = 3600.0
        visit(browser, hub)
        hub.skew_s = 3630.0
        browser.open(f"{hub.url}/desk.html#token={TOKEN}")
        browser.wait('document.querySelector("[role=status]")?.innerText.endsWith("DELAYED")', "DELAYED")


def test_a_lost_hub_is_said_and_found_again(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    hub.up = False
    hub.cut()
    browser.wait('document.querySelector("[role=status]").innerText.endsWith("OFFLINE")', "OFFLINE")
    assert whole(risk(hub)["var"]) in browser.text()
    tell(hub, 1)
    hub.up = True
    browser.wait('document.querySelector("[role=status]").innerText === "live"', "live again")
    browser.wait_text(whole(risk(hub)["es"]))


def test_what_is_missing_is_no_value_and_never_zero(browser: Browser, hub: DeskHub) -> None:
    output = hub.story.shown["risk", "main"]["output"]
    output["split"]["volume"], output["es"], output["hedge"] = None, "inf", None
    del output["committed"]["crude"]
    hub.with_model = False
    visit(browser, hub, f"asset={LINE}")
    assert lines(browser, "VaR by cause")["volume alone"][0] == "no value"
    assert lines(browser, "ES by unit")["ES"][0] == "no value"
    text = browser.text()
    assert "nothing to hedge with" in text
    assert re.search(r"committed\s+no value", text)
    assert "rig1/well1.p_mon_ckp" in text, "tags are known from the reasons of health"


def test_of_very_many_the_worst_are_shown_and_the_sums_stay(browser: Browser, hub: DeskHub) -> None:
    tell(hub, 20, fallen=40.0)
    assets, units = hub.story.shown["health", "field"]["output"]["assets"], risk(hub)["units"]
    assets |= {f"EXTRA-{at}": assets["WELL-B"] for at in range(1000)}
    units |= {f"EXTRA-{at}": 0.001 * at for at in range(1000)}
    visit(browser, hub)
    rows = browser.look("[...document.querySelector('table.assets').tBodies[0].rows].map((row) => row.cells[0].innerText)")
    assert len(rows) == 200
    assert rows[0] == LINE
    assert "The 200 worst of 1,004 assets" in browser.text()
    shown = lines(browser, "ES by unit")
    assert len(shown) == 42
    assert shown[LINE][0] == whole(units[LINE])
    rest = sorted(units.values(), key=abs)[:-40]
    assert shown[f"{len(rest)} others"][0] == whole(sum(rest))


def test_an_empty_hub_says_what_is_needed(browser: Browser) -> None:
    story = desk_story.begin(time.time_ns() // 1000)
    with desk_hub.serving(story) as hub:
        hub.cause = "no usable quote of WTI"
        browser.open(f"{hub.url}/desk.html#token={TOKEN}")
        browser.wait_text("no usable quote of WTI")
        browser.wait_text("No figure yet")
        browser.wait_text("waiting")
        assert "NaN" not in browser.text()
        assert "undefined" not in browser.text()


def test_without_a_token_the_page_asks_for_one(browser: Browser, hub: DeskHub) -> None:
    browser.open(f"{hub.url}/desk.html#token=wrong")
    browser.wait("document.querySelector('input[type=password]') && true")
    assert "VaR" not in browser.text()


@pytest.mark.parametrize(
    ("given", "said", "as_whole"),
    [
        (["0.1", "0.2"], "0.3", "0"),
        (["9007199254740993", "0.000000000000000001"], "9,007,199,254,740,993.000000000000000001", "9,007,199,254,740,993"),
        (["1E+3", "-2.50"], "997.5", "998"),
        (["-0.4", "-0.1"], "-0.5", "-1"),
        (["-1234567.4"], "-1,234,567.4", "-1,234,567"),
        (["0E-6", "0"], "0", "0"),
        (["1", "much"], "no value", "no value"),
        (["NaN"], "no value", "no value"),
    ],
)
def test_decimals_add_up_to_the_last_digit(browser: Browser, hub: DeskHub, given: list[str], said: str, as_whole: str) -> None:
    visit(browser, hub)
    script = f"import('/desk/words.mjs').then((w) => {json.dumps(given)}.map(w.exact).reduce(w.plus))"
    assert browser.look(f"{script}.then((sum) => import('/desk/words.mjs').then((w) => [w.exactly(sum), w.rounded(sum)]))") == [
        said,
        as_whole,
    ]


CONTRAST = """(() => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (one) => { for (let at = one; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor);
    if (c.length < 4 || c[3] > 0.5) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const one of document.querySelectorAll("main *")) {
    if (one.closest("svg, canvas") || ![...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${one.innerText.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""


@pytest.mark.parametrize(("width", "scheme"), list(itertools.product((1400, 390), ("light", "dark"))))
def test_it_is_readable_at_every_width_in_both_themes(browser: Browser, hub: DeskHub, tmp_path: Path, width: int, scheme: str) -> None:
    tell(hub, 20, fallen=40.0)
    browser.shape(width, 844, scheme)
    visit(browser, hub, f"asset={LINE}")
    assert browser.look("document.documentElement.scrollWidth") <= width
    assert browser.look(CONTRAST) == []
    small = browser.look(
        "[...document.querySelectorAll('main a, main button')].filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.innerText)"
    )
    assert small == []
    assert len(browser.picture(tmp_path / "desk.png")) > 30_000
    assert browser.faults == []


def test_the_page_asks_only_its_hub_and_seldom(browser: Browser, hub: DeskHub) -> None:
    visit(browser, hub)
    asked = [url for url in browser.requests if url.startswith("http")]
    assert {url.split("/")[2] for url in asked} == {hub.url.split("/")[2]}
    files = {url for url in asked if "/v1/" not in url}
    assert len(files) <= 15, files
    assert TOKEN not in browser.look("document.documentElement.outerHTML")
