"""The pages of the field and of operations in a real browser: what is on screen is what the API says, and what is done there is done."""

import json
import re
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlparse

import httpx
import numpy as np
import pytest
from playwright.sync_api import Locator, Route, expect

from protocols.batch.columns import ClockRecord, Group
from protocols.batch.statement import Payload
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway
from tests.cloud.web.browser import Site, Tab

# The fixture's samples begin 1,000 s after 1970; a trend of them is drawn over this range.
RANGE = "from=1970-01-01T00:16:30Z&to=1970-01-01T00:21:00Z"


@pytest.fixture
def unwell(site: Site) -> Site:
    """Well A has drifted, and its alarm sounds."""
    if not _alarms(site, "A", "health", "unacknowledged"):
        offset = 8.0
        for _ in range(4):
            site.send(6, offset=offset)
            offset += 8.0
        site.until(lambda: _standing(site, "A", "health"), "the alarm of well A")
    return site


def _standing(site: Site, asset: str, alarm: str) -> dict[str, object] | None:
    found = [one for one in site.get("/v1/alarms")["alarms"] if (one["asset"], one["alarm"]) == (asset, alarm)]
    return dict(found[0]) if found else None


def _alarms(site: Site, asset: str, alarm: str, state: str) -> bool:
    found = _standing(site, asset, alarm)
    return found is not None and found["state"] == state


def _sounding(site: Site) -> None:
    """Whatever was done before: the alarm of well A sounds again."""
    found = _standing(site, "A", "health")
    if found and found["state"] == "shelved":
        reply = httpx.post(f"{site.url}/v1/alarms/A/health/unshelve", headers=site.token)
        assert reply.status_code == 200, reply.text
    if not _alarms(site, "A", "health", "unacknowledged"):
        until_us = int(time.time() * 1e6) + 60_000_000
        shelved = httpx.post(f"{site.url}/v1/alarms/A/health/shelve", headers=site.token, json={"reason": "test", "until_us": until_us})
        assert shelved.status_code == 200, shelved.text
        assert httpx.post(f"{site.url}/v1/alarms/A/health/unshelve", headers=site.token).status_code == 200
    assert _alarms(site, "A", "health", "unacknowledged")


def _table(tab: Tab, title: str) -> list[list[str]]:
    rows = tab.page.get_by_role("region", name=title, exact=True).last.locator("tbody tr:not(.room)")
    expect(rows.first).to_be_visible()
    return [[text.strip() for text in row.locator("td").all_inner_texts()] for row in rows.all()]


def _row(tab: Tab, title: str, text: str) -> Locator:
    return tab.page.get_by_role("region", name=title, exact=True).last.locator("tbody tr").filter(has_text=text)


def test_the_fleet_lists_every_gateway_with_what_is_stored_of_it(site: Site, tab: Tab) -> None:
    tab.sign_in("field-engineer")
    tab.open("/fleet")
    known = {row["name"]: row for row in site.get("/v1/gateways")}
    expect(tab.page.get_by_role("region", name="Gateways", exact=True).last.locator("tbody tr")).to_have_count(len(known))
    for name in ("rig1", "rig2"):
        cells = _row(tab, "Gateways", name).locator("td")
        expect(cells.nth(3)).to_have_text(str(known[name]["backlog"]))
        expect(cells.nth(9)).to_have_text(f"{known[name]['samples']:,}")
    expect(_row(tab, "Gateways", "rig1")).to_contain_text("IN_SYNC")
    expect(_row(tab, "Gateways", "rig1")).to_contain_text("no end is set")


def test_a_silent_gateway_comes_before_a_live_one_and_is_marked(site: Site, tab: Tab) -> None:
    async def quiet(hub: TestHub) -> None:
        await hub.gateway("silent")

    site.run(quiet)
    tab.sign_in("field-engineer")
    tab.open("/fleet")
    expect(_row(tab, "Gateways", "silent").locator("td").nth(1)).to_have_text("WAITING")
    expect(_row(tab, "Gateways", "silent").locator("td").nth(2)).to_have_text("never")
    site.send(2)
    expect(tab.page.locator("tr:has-text('silent') ~ tr:has-text('rig1'):has-text('LIVE')")).to_be_visible()


def test_a_gateway_that_is_behind_shows_since_when_and_when_it_is_full(site: Site, tab: Tab) -> None:
    async def behind(hub: TestHub) -> None:
        gateway = await hub.gateway("behind")
        now_us = int(time.time() * 1e6)
        clocked = replace(gateway.payload(), clock=ClockRecord(1, 250_000, 400_000, bytes(16), 5))
        reply = await gateway.post(gateway.seal(clocked), backlog=12, oldest_us=now_us - 3 * 3_600_000_000, full_in_s=5 * 3_600)
        assert reply.status_code == 200

    site.run(behind)
    tab.sign_in("field-engineer")
    tab.open("/fleet")
    cells = _row(tab, "Gateways", "behind").locator("td")
    for at, text in enumerate(("12", "3 h", "5 h", "250 ms not synchronised"), start=3):
        expect(cells.nth(at)).to_have_text(text)


def test_a_row_is_opened_by_keys(tab: Tab) -> None:
    tab.sign_in("field-engineer")
    tab.open("/fleet?fleet.find=rig")
    expect(tab.page.get_by_role("button", name="rig1", exact=True)).to_be_visible()
    tab.page.keyboard.press("j")
    expect(tab.page.locator("tr[aria-current=true]")).to_be_visible()
    name = tab.page.locator("tr[aria-current=true] td").first.inner_text().strip()
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", name=name, level=1)).to_be_visible()
    assert urlparse(tab.page.url).path == f"/fleet/{name}"


def test_live_tags_show_the_newest_value_of_each(site: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/fleet/rig1")
    site.send(3)
    tags = {tag["name"]: tag["id"] for tag in site.get("/v1/tags") if tag["gateway"] == "rig1"}
    value = site.get("/v1/latest")[str(tags["plc1.t0"])][1]
    rows = tab.page.get_by_role("region", name="Live tags").last.locator("tbody tr")
    expect(rows.filter(has_text="plc1.t0")).to_contain_text(f"{value:.6g}")
    expect(rows.filter(has_text="plc1.t3")).to_contain_text("no sample yet")


def test_a_picked_tag_stands_in_the_address_and_its_trend_says_how_many_samples_it_has(site: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open(f"/fleet/rig1?{RANGE}")
    tab.page.get_by_role("button", name="plc1.t1", exact=True).click()
    expect(tab.page).to_have_url(re.compile(r"tag=plc1\.t1"))
    figure = tab.page.locator("figure.trend")
    expect(figure.locator("canvas")).to_be_visible()
    tag = next(tag["id"] for tag in site.get("/v1/tags") if (tag["gateway"], tag["name"]) == ("rig1", "plc1.t1"))
    count = site.get(f"/v1/tags/{tag}/samples", from_us=990_000_000, to_us=1_260_000_000)["samples"]
    expect(figure).to_contain_text(f"{count} samples")
    tab.page.reload()
    expect(tab.page.locator("figure.trend").get_by_text("plc1.t1", exact=True)).to_be_visible()


def test_a_value_that_is_old_is_not_shown_as_live(site: Site, tab: Tab) -> None:
    now_us = int(time.time() * 1e6)

    async def slow(hub: TestHub) -> None:
        gateway = await hub.gateway("slow", tags=3)
        ages = {0: -5, 1: 9, 2: 60}
        one = np.ones((1, 1), np.int32)
        groups = tuple(Group(np.array([tag], np.uint32), np.array([now_us - age * 1_000_000]), one) for tag, age in ages.items())
        assert (await gateway.post(gateway.seal(Payload(gateway.table.digest, groups, ())))).status_code == 200

    site.run(slow)
    tab.sign_in("operator")
    tab.open("/fleet/slow")
    values = tab.page.get_by_role("region", name="Live tags").last.locator("tbody bdi.held")
    expect(values).to_have_count(3)
    assert [values.nth(at).get_attribute("class") for at in range(3)] == ["held live", "held delayed", "held stale"]


def test_a_trend_breaks_where_quality_is_bad_or_nothing_came_and_dots_what_is_uncertain(tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/fleet")
    samples = {"times_us": [1e6, 2e6, 3e6, 9e6], "values": [1, 2, 3, 4], "quality": [0, 0x80000000, 0x40000000, 0], "samples": 4}
    gap = {"from_us": 3e6, "to_us": 9e6, "cause": "", "duration_s": 6}
    drawn = tab.page.evaluate("async ([samples, gap]) => (await import('/ui/chart.mjs')).columns(samples, [gap])", [samples, gap])
    assert drawn == [[1, 2, 3, 6, 9], [1, None, 3, None, 4], [None, None, 3, None, None]]


def test_the_file_of_a_trend_is_what_is_drawn_with_unit_and_zone(site: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open(f"/fleet/rig1?{RANGE}&tag=plc1.t0")
    expect(tab.page.locator("figure.trend canvas")).to_be_visible()
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="CSV of plc1.t0").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    tag = next(tag["id"] for tag in site.get("/v1/tags") if (tag["gateway"], tag["name"]) == ("rig1", "plc1.t0"))
    found = site.get(f"/v1/tags/{tag}/samples", from_us=990_000_000, to_us=1_260_000_000, points=1000)
    assert lines[0] == "# all samples"
    assert lines[2] == "time (UTC),time_us,plc1.t0 [bar],quality"
    assert [line.split(",")[1:3] for line in lines[3:]] == [
        [str(us), f"{value:g}"] for us, value in zip(found["times_us"], found["values"], strict=True)
    ]


def test_gaps_and_their_causes_are_those_of_the_api(site: Site, tab: Tab) -> None:
    async def with_hole(hub: TestHub) -> None:
        gateway = await hub.gateway("holey")
        first, _, third = (gateway.seal() for _ in range(3))
        await gateway.send(first)
        assert (await gateway.post(third, backlog=1)).status_code == 200

    site.run(with_hole)
    gateway_id = next(row["id"] for row in site.get("/v1/gateways") if row["name"] == "holey")
    told = site.get(f"/v1/gateways/{gateway_id}/completeness", from_us=0, to_us=30_000_000)
    assert told["gaps"]
    tab.sign_in("field-engineer")
    tab.open("/fleet/holey?from=1970-01-01T00:00:00Z&to=1970-01-01T00:00:30Z")
    section = tab.page.get_by_role("region", name="Completeness")
    for gap in told["gaps"]:
        expect(section).to_contain_text(gap["cause"])
    expect(section).to_contain_text(f"{len(told['gaps'])} gap")


def test_keys_are_ended_only_after_the_name_was_typed(site: Site, tab: Tab) -> None:
    async def doomed(hub: TestHub) -> None:
        await hub.gateway("doomed")

    site.run(doomed)
    tab.sign_in("field-engineer")
    tab.open("/fleet/doomed")
    tab.page.get_by_role("button", name="Revoke …").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("Name of the gateway").fill("rig1")
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Type the name of the gateway exactly: doomed")
    assert site.get("/v1/gateways/doomed/keys")["keys"][0]["ends_us"] is None
    dialog.get_by_label("Name of the gateway").fill("doomed")
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog).to_have_count(0)
    assert site.get("/v1/gateways/doomed/keys")["keys"][0]["state"] == "ended"


def test_a_reader_is_not_offered_to_revoke_or_enrol(tab: Tab) -> None:
    tab.sign_in("auditor")
    tab.open("/fleet/rig1")
    expect(tab.page.get_by_role("heading", name="Live tags")).to_be_visible()
    expect(tab.page.get_by_role("button", name="Revoke …")).to_have_count(0)
    tab.open("/fleet")
    expect(tab.page.get_by_role("button", name="rig1", exact=True)).to_be_visible()
    expect(tab.page.get_by_role("link", name="Enrol a gateway")).to_have_count(0)


def _voucher(tab: Tab) -> str:
    text = tab.page.get_by_label("commands that introduce and start the gateway").inner_text()
    found = re.search(r"printf '%s' '([^']+)'", text)
    assert found, text
    return found[1]


def test_a_gateway_comes_from_its_name_to_its_first_value_on_a_phone(site: Site, tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    tab.sign_in("field-engineer")
    tab.open("/enrol")
    tab.page.get_by_label("Name of the gateway").fill("Rig 9")
    tab.page.get_by_role("button", name="Make a voucher").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("Expected small letters")
    tab.page.get_by_label("Name of the gateway").fill("rig9")
    tab.page.get_by_role("button", name="Make a voucher").click()
    expect(tab.page.get_by_text("qenergyz edge enrol gateway.toml --voucher @voucher")).to_be_visible()
    tab.fits()
    voucher = _voucher(tab)

    async def enrol(hub: TestHub) -> Gateway:
        gateway = Gateway(hub.client, "rig9")
        assert (await gateway.enrol(voucher)).status_code == 201
        assert (await gateway.put_table()).status_code == 201
        return gateway

    gateway = site.run(enrol)
    fingerprint = tab.page.locator(".fingerprint")
    expect(fingerprint).to_be_visible()
    assert fingerprint.inner_text().replace(" ", "") == gateway.signer.key_id.hex()[:32]
    tab.page.get_by_role("button", name="It is the same").click()
    expect(tab.page.get_by_text("Waiting for the first batch")).to_be_visible()

    async def send(hub: TestHub) -> None:
        gateway.client = hub.client
        await gateway.send(gateway.seal())

    site.run(send)
    tags = [tag["id"] for tag in site.get("/v1/tags") if tag["gateway"] == "rig9"]
    value = site.get("/v1/latest")[str(tags[0])][1]
    expect(tab.page.locator("strong.big")).to_contain_text(f"{value:g}")
    expect(tab.page.locator("figure.trend canvas")).to_be_visible()
    tab.fits()
    tab.page.get_by_role("link", name="Open rig9").click()
    expect(tab.page.get_by_role("heading", name="rig9", level=1)).to_be_visible()


def test_a_key_that_is_another_is_revoked_from_the_wizard(site: Site, tab: Tab) -> None:
    tab.sign_in("field-engineer")
    tab.open("/enrol")
    tab.page.get_by_label("Name of the gateway").fill("stranger")
    tab.page.get_by_role("button", name="Make a voucher").click()
    expect(tab.page.get_by_label("commands that introduce and start the gateway")).to_be_visible()
    voucher = _voucher(tab)

    async def enrol(hub: TestHub) -> None:
        assert (await Gateway(hub.client, "stranger").enrol(voucher)).status_code == 201

    site.run(enrol)
    tab.page.get_by_role("button", name="It is another: revoke …").click()
    tab.page.get_by_role("dialog").get_by_label("Name of the gateway").fill("stranger")
    tab.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    assert [key["state"] for key in site.get("/v1/gateways/stranger/keys")["keys"]] == ["ended"]
    expect(tab.page.get_by_role("button", name="Make another voucher")).to_be_visible()


def test_a_voucher_that_ended_says_how_to_make_another(tab: Tab) -> None:
    tab.sign_in("field-engineer")
    tab.open("/enrol?gateway=late&ends=1000000")
    expect(tab.page.get_by_role("alert")).to_contain_text("Make another one and paste the commands again")
    tab.page.get_by_role("button", name="Make another voucher").click()
    expect(tab.page.get_by_label("command that writes the gateway's file")).to_contain_text("--name late")


def test_a_site_shows_its_lowest_health_and_leads_to_its_assets(unwell: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/sites")
    tile = tab.page.get_by_role("link", name=re.compile("field"))
    lowest = min(_health(unwell).items(), key=lambda item: item[1]["index"])
    expect(tile).to_contain_text(f"{lowest[1]['index']:.2f}")
    expect(tile).to_contain_text(lowest[0])
    expect(tile).to_have_class(re.compile("abnormal"))
    tile.click()
    expect(tab.page).to_have_url(re.compile("/assets.*site=field"))
    assert {row[0] for row in _table(tab, "Assets")} == {"A", "B"}


def _health(site: Site) -> dict[str, dict[str, float]]:
    return dict(next(one for one in site.get("/v1/results") if one["kind"] == "health")["output"]["assets"])


def test_health_stands_in_its_interval_with_coverage_and_the_version_of_the_model(unwell: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/assets/A")
    found = _health(unwell)["A"]
    panel = tab.page.get_by_role("region", name="Health")
    expect(panel.locator("strong.big")).to_have_text(f"{found['index']:.2f}")
    expect(panel).to_contain_text(f"between {found['low']:.2f} and {found['high']:.2f}")
    expect(panel).to_contain_text(f"{found['trust']:.0%}")
    expect(panel).to_contain_text(unwell.get("/v1/assets")["model"]["sha256"][:8])
    expect(panel.get_by_role("img")).to_have_attribute("aria-label", re.compile(f"health {found['index']:.2f}"))


def test_the_share_of_each_tag_is_that_of_the_result(unwell: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/assets/A")
    shares = {tags[0]: share for _, share, tags in _health(unwell)["A"]["reasons"]}  # type: ignore[attr-defined]
    for tag, share in shares.items():
        row = tab.page.get_by_role("region", name="Contributions").locator("tbody tr").filter(has_text=tag)
        expect(row).to_contain_text(f"{round(100 * share, 1):g}%")


def test_a_drag_over_a_trend_is_the_range_and_a_double_click_goes_back(tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open(f"/assets/A?{RANGE}")
    over = tab.page.locator("figure.trend .u-over").first
    expect(over).to_be_visible()
    expect(tab.page.locator("figure.trend canvas")).to_have_count(2)
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box
    tab.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40, steps=4)
    tab.page.mouse.up()
    expect(tab.page).to_have_url(re.compile("from=1970-01-01T00%3A17"))
    query = parse_qs(urlparse(tab.page.url).query)
    assert query["from"][0].startswith("1970-01-01T00:17:3")
    assert query["to"][0].startswith("1970-01-01T00:18:4")
    over.dblclick()
    expect(tab.page).to_have_url(re.compile("to=1970-01-01T00:21:00Z"))


def test_the_period_before_is_drawn_where_it_is_asked_for(tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open(f"/assets/A?{RANGE}")
    expect(tab.page.locator("figure.trend .u-legend").first).not_to_contain_text("period before")
    tab.page.get_by_label("period before").check()
    expect(tab.page).to_have_url(re.compile("compare=before"))
    expect(tab.page.locator("figure.trend .u-legend").first).to_contain_text("period before")


def test_the_signed_batches_of_a_health_are_those_of_its_evidence(unwell: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/assets/A")
    evidence = next(one["id"] for one in unwell.get("/v1/results") if one["kind"] == "health")
    tab.page.get_by_role("button", name="Signed batches").click()
    expect(tab.page.get_by_role("region", name="Evidence")).to_contain_text(evidence)
    entries = {one["entry"] for one in unwell.get(f"/v1/evidence/{evidence}")["inputs"]["batches"]}
    shown = tab.page.get_by_role("region", name="Evidence").locator("td.hash").all_inner_texts()
    assert entries == set(shown)
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Download the proof of this health").click()
    assert download.value.suggested_filename == f"health-{evidence[:16]}.qzb"


def test_an_asset_that_nobody_judged_is_not_evaluated(site: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    hidden = re.compile(r"/v1/stream")

    def without_results(route: Route) -> None:
        route.fulfill(status=200, content_type="text/event-stream", body=_documents(site))

    tab.page.route(hidden, without_results)
    tab.open("/assets/B")
    expect(tab.page.get_by_role("region", name="Health")).to_contain_text("not evaluated")
    expect(tab.page.get_by_role("region", name="Health").get_by_role("img")).to_have_attribute("aria-label", "not evaluated")


def _documents(site: Site) -> str:
    names = {"gateways": "/v1/gateways", "tags": "/v1/tags", "model": "/v1/assets"}
    return "retry: 60000\n\n" + "".join(f"event: {name}\ndata: {json.dumps(site.get(path))}\n\n" for name, path in names.items())


def test_alarms_are_listed_as_the_hub_orders_them_and_acknowledged_by_a_key(unwell: Site, tab: Tab) -> None:
    _sounding(unwell)
    tab.sign_in("operator")
    tab.open("/alarms")
    standing = unwell.get("/v1/alarms")["alarms"]
    expect(tab.page.get_by_role("region", name="Standing alarms", exact=True).last.locator("tbody tr")).to_have_count(len(standing))
    rows = _table(tab, "Standing alarms")
    assert [(row[1], row[2]) for row in rows] == [(one["asset"], one["alarm"]) for one in standing]
    tab.page.get_by_role("region", name="Standing alarms").get_by_role("button", name="A", exact=True).first.click()
    tab.page.keyboard.press("a")
    expect(tab.page.get_by_role("status").get_by_text("1 alarm acknowledged")).to_be_visible()
    unwell.until(lambda: _alarms(unwell, "A", "health", "acknowledged"), "the acknowledgement")
    newest = unwell.get("/v1/alarms/journal", limit=1)["journal"][0]
    assert (newest["event"], newest["by"].rpartition("/")[2]) == ("acknowledge", "operator")
    expect(tab.page.get_by_role("region", name="Journal").last).to_contain_text("acknowledge")


def test_going_to_a_page_by_its_letter_acknowledges_nothing(unwell: Site, tab: Tab) -> None:
    _sounding(unwell)
    tab.sign_in("operator")
    tab.open("/alarms?alarm=A%2Fhealth")
    expect(tab.page.get_by_text("1 chosen")).to_be_visible()
    tab.page.keyboard.press("g")
    tab.page.keyboard.press("a")
    expect(tab.page.get_by_role("heading", name="Assets", level=1)).to_be_visible()
    assert _alarms(unwell, "A", "health", "unacknowledged")


def test_shelving_needs_a_reason_and_ends_by_a_click(unwell: Site, tab: Tab) -> None:
    _sounding(unwell)
    tab.sign_in("operator")
    tab.open("/alarms?alarm=A%2Fhealth")
    expect(tab.page.get_by_text("1 chosen")).to_be_visible()
    tab.page.keyboard.press("s")
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Shelve").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Say why")
    dialog.get_by_label("Reason").fill("sensor is being replaced")
    dialog.get_by_label("For how long").select_option("30")
    dialog.get_by_role("button", name="Shelve").click()
    expect(tab.page.get_by_role("status").get_by_text("1 alarm shelved")).to_be_visible()
    found = _standing(unwell, "A", "health")
    assert found is not None
    assert found["state"] == "shelved"
    assert 28 * 60 < float(str(found["until_us"])) / 1e6 - time.time() <= 30 * 60
    tab.page.get_by_role("button", name="Unshelve").click()
    unwell.until(lambda: _alarms(unwell, "A", "health", "unacknowledged"), "the end of the shelving")


def test_whoever_is_too_late_is_told_what_the_alarm_is_now(unwell: Site, tab: Tab) -> None:
    _sounding(unwell)
    tab.sign_in("operator")

    def somebody_faster(route: Route) -> None:
        assert httpx.post(route.request.url, headers=unwell.token).status_code == 200
        route.continue_()

    tab.page.route(re.compile("/acknowledge$"), somebody_faster)
    tab.open("/alarms?alarm=A%2Fhealth")
    tab.page.get_by_role("button", name="Acknowledge").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("A, health: is acknowledged now")
    tab.faults = [fault for fault in tab.faults if "409" not in fault]


def test_many_are_acknowledged_at_once(unwell: Site, tab: Tab) -> None:
    _sounding(unwell)
    tab.sign_in("operator")
    tab.open("/alarms")
    expect(tab.page.get_by_role("region", name="Standing alarms").get_by_role("button", name="A", exact=True).first).to_be_visible()
    tab.page.get_by_role("button", name="Tick all").click()
    tab.page.get_by_role("button", name="Acknowledge").click()
    unwell.until(lambda: not [one for one in unwell.get("/v1/alarms")["alarms"] if "unacknowledged" in one["state"]], "all acknowledged")
    expect(tab.page.get_by_text("0 chosen")).to_be_visible()


def test_a_reader_sees_alarms_and_is_offered_nothing_to_do(unwell: Site, tab: Tab) -> None:
    tab.sign_in("auditor")
    tab.open("/alarms")
    expect(tab.page.get_by_role("region", name="Standing alarms").first).to_be_visible()
    expect(tab.page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(tab.page.get_by_role("checkbox")).to_have_count(0)


def test_the_figures_of_alarms_are_those_of_the_api(unwell: Site, tab: Tab) -> None:
    tab.sign_in("operator")
    tab.open("/alarms")
    found = unwell.get("/v1/alarms/kpis")
    section = tab.page.get_by_role("region", name="Figures")
    expect(section.locator(".figure").first.locator("strong")).to_have_text(str(found["annunciations"]))
    rows = section.get_by_role("table").first.locator("tbody tr").all()
    counts = [
        (row.locator("td").nth(0).inner_text(), row.locator("td").nth(1).inner_text(), row.locator("td").nth(2).inner_text())
        for row in rows
    ]
    assert counts == [(one["asset"], one["alarm"], str(one["count"])) for one in found["top"]]


def test_a_new_transition_comes_without_asking(unwell: Site, tab: Tab) -> None:
    _sounding(unwell)
    tab.sign_in("operator")
    tab.open("/alarms")
    state = (
        tab.page.get_by_role("region", name="Standing alarms").locator("tr", has=tab.page.get_by_role("button", name="A", exact=True)).first
    )
    expect(state).to_contain_text("unacknowledged")
    assert httpx.post(f"{unwell.url}/v1/alarms/A/health/acknowledge", headers=unwell.token).status_code == 200
    expect(state).not_to_contain_text("unacknowledged")


def test_the_journal_goes_back_page_by_page(unwell: Site, tab: Tab) -> None:
    _sounding(unwell)
    for _ in range(51):
        body = {"reason": "test", "until_us": int(time.time() * 1e6) + 60_000_000}
        assert httpx.post(f"{unwell.url}/v1/alarms/A/health/shelve", headers=unwell.token, json=body).status_code == 200
        assert httpx.post(f"{unwell.url}/v1/alarms/A/health/unshelve", headers=unwell.token).status_code == 200
    everything = unwell.get("/v1/alarms/journal", limit=1000)["journal"]
    tab.sign_in("auditor")
    tab.open("/alarms")
    journal = tab.page.locator("section.table").filter(has=tab.page.get_by_role("heading", name="Journal"))
    expect(journal.get_by_role("heading")).to_contain_text("100 rows")
    while tab.page.get_by_role("button", name="Older").count():
        before = journal.get_by_role("heading").inner_text()
        tab.page.get_by_role("button", name="Older").click()
        expect(journal.get_by_role("heading")).not_to_have_text(before)
    expect(journal.get_by_role("heading")).to_contain_text(f"{len(everything)} rows")


def test_a_flood_names_what_came_first(tab: Tab) -> None:
    tab.sign_in("operator")
    flood = {"from_us": 1_795_453_652_258_321, "end_us": None, "first": {"asset": "A", "alarm": "health"}}
    tab.page.route(
        re.compile(r"/v1/alarms$"), lambda route: route.fulfill(json={"as_of_us": 1_795_453_652_258_322, "flood": flood, "alarms": []})
    )
    tab.open("/alarms")
    banner = tab.page.locator(".flood")
    expect(banner).to_contain_text("Flood of alarms")
    banner.get_by_role("button", name="A health").click()
    expect(tab.page).to_have_url(re.compile("alarm=A%2Fhealth"))
