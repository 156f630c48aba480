"""Evidence for controls: rows and their hash, kept, signed off, computed again; what the hub cannot answer says so."""

from typing import Any

import pytest

from cloud.compliance import privacy_register
from cloud.compliance.controls import CONTROLS
from cloud.compliance.controls_store import QUERIES
from cloud.evidence import bundles
from cloud.evidence.again import recompute
from cloud.identity.roles import Role
from cloud.recompute import REGISTRY
from protocols.batch import pedigree
from protocols.tomlfile import ConfigError
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import execute, slug, team

ANSWERED = [one.id for one in CONTROLS.values() if not one.reason]


class Audit:
    def __init__(self, hub: TestHub) -> None:
        self.hub = hub

    async def open(self) -> "Audit":
        self.clara, self.aud = await team(self.hub, "clara", Role.COMPLIANCE_OFFICER), await team(self.hub, "aud", Role.AUDITOR)
        return self

    async def run(self, control: str) -> Any:
        reply = await self.clara.ask("POST", f"/v1/controls/{control}/runs")
        assert reply.status_code == 201, reply.text
        return reply.json()

    async def listed(self) -> dict[str, Any]:
        return {one["id"]: one for one in (await self.aud.ask("GET", "/v1/controls")).json()["controls"]}

    async def rows(self, control: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.aud.ask("GET", f"/v1/controls/{control}/result")).json()["found"]
        return found


@pytest.fixture
async def audit(hub: TestHub) -> Audit:
    return await Audit(hub).open()


def test_every_control_is_answered_or_says_why_not_and_none_claims_more_than_evidence() -> None:
    assert {*QUERIES, "Q-06"} == set(ANSWERED)
    assert list(CONTROLS) == [f"Q-{number:02}" for number in range(1, 13)]
    assert not [one.id for one in CONTROLS.values() if "certif" in (one.says + one.reason).replace("certificate", "")]


@pytest.mark.parametrize("control", ANSWERED)
async def test_the_same_facts_have_the_same_hash_and_every_run_is_kept(audit: Audit, control: str) -> None:
    await audit.hub.gateway("rig1")
    first = await audit.run(control)
    again = await audit.run(control)
    same = control != "Q-06"  # the run itself is an entry of the log
    assert (first["sha256"] == again["sha256"]) is same
    assert first["result"] != again["result"]
    assert first["statement"].startswith("evidence for SOC 2 ")
    assert (await audit.listed())[control]["overdue"] is False


async def test_a_control_without_facts_of_the_hub_is_listed_with_the_reason_and_cannot_be_run(audit: Audit) -> None:
    told = (await audit.listed())["Q-04"]
    assert (told["not_answered"], told["evidence_for"], told["overdue"]) == (CONTROLS["Q-04"].reason, None, False)
    assert slug(await audit.clara.ask("POST", "/v1/controls/Q-04/runs")) == "conflict"
    assert slug(await audit.clara.ask("POST", "/v1/controls/Q-99/runs")) == "not-found"


async def test_the_access_review_names_people_by_number_and_tells_open_tokens(audit: Audit) -> None:
    await audit.hub.token(scopes=("read:field",))
    told = await audit.run("Q-01")
    assert told["summary"] == {"people": 2, "disabled": 0, "never signed in": 0, "API tokens": 1, "API tokens without end": 1}
    assert [one["who"] for one in await audit.rows("Q-01")] == [f"person/{one.person}" for one in (audit.clara, audit.aud)] + ["token/test"]


async def test_coverage_of_second_factors_is_a_share_of_people_who_may_sign_in(audit: Audit) -> None:
    assert (await audit.run("Q-02"))["summary"] == {"people": 2, "with a second factor": 0, "percent": 0.0}
    await audit.clara.set_up_totp(audit.hub.hub.clock.now_us() // 1_000_000)
    execute(audit.hub, f"UPDATE session SET strong_us = {audit.hub.hub.clock.now_us()}, ended_us = NULL")
    assert (await audit.run("Q-02"))["summary"]["percent"] == 50.0


async def test_the_log_is_verified_now_and_a_changed_action_is_found(audit: Audit) -> None:
    await audit.run("Q-01")
    audit.hub.hub.log.wake(1)
    await audit.hub.hub.log.receipts(1, [bytes.fromhex((await audit.run("Q-02"))["result"])], wait_s=10)
    assert (await audit.run("Q-06"))["summary"] == {"checks": 8, "failed": 0}
    execute(
        audit.hub, "UPDATE action SET document = replace(document, 'Q-01', 'Q-02') WHERE name = 'run-control' AND subject = 'control/Q-01'"
    )
    assert (await audit.run("Q-06"))["summary"]["failed"] == 1
    assert [one["check"] for one in await audit.rows("Q-06") if not one["right"]] == ["actions"]


async def test_an_entry_that_is_gone_breaks_the_root(audit: Audit) -> None:
    result = bytes.fromhex((await audit.run("Q-01"))["result"])
    await audit.hub.hub.log.receipts(1, [result], wait_s=10)
    execute(audit.hub, f"DELETE FROM log_entry WHERE entry = '\\x{result.hex()}'")
    await audit.run("Q-06")
    assert {one["check"] for one in await audit.rows("Q-06") if not one["right"]} == {"root of all entries", "evidence rows in the log"}


async def test_isolation_is_read_from_the_catalogue(audit: Audit) -> None:
    told = await audit.run("Q-10")
    assert (told["summary"]["failed"], told["summary"]["checks"] > 40) == (0, True)
    execute(audit.hub, "ALTER TABLE filing NO FORCE ROW LEVEL SECURITY")
    assert (await audit.run("Q-10"))["summary"]["failed"] == 1
    assert [one["name"] for one in await audit.rows("Q-10") if not one["right"]] == ["filing"]


async def test_a_person_signs_a_result_off_and_a_newer_one_is_not_signed(audit: Audit) -> None:
    result = (await audit.run("Q-10"))["result"]
    body = {"result": result, "remark": "looked at every table"}
    assert slug(await audit.aud.ask("POST", "/v1/controls/Q-10/sign-off", json=body)) == "forbidden"
    assert slug(await audit.clara.ask("POST", "/v1/controls/Q-11/sign-off", json=body)) == "not-found"
    signed = await audit.clara.ask("POST", "/v1/controls/Q-10/sign-off", json=body)
    assert signed.status_code == 201, signed.text
    assert (await audit.listed())["Q-10"]["last"]["signed_by"] == f"person/{audit.clara.person}"
    hub = audit.hub.hub
    report = pedigree.verify(await bundles.export(hub.windows, hub.log, 1, bytes.fromhex(signed.json()["sign_off"])))
    assert report.pedigree is not None
    compared = list(recompute(report.pedigree, REGISTRY))
    assert [(one.name, one.differences) for one in compared] == [("control Q-10", ()), ("control Q-10 sign-off", ())]
    await audit.run("Q-10")
    assert (await audit.listed())["Q-10"]["last"]["signed_by"] is None


async def test_results_are_for_who_reads_the_journal(audit: Audit) -> None:
    result = (await audit.run("Q-01"))["result"]
    everything_but = await audit.hub.token(scopes=("read",))
    assert slug(await audit.hub.client.get(f"/v1/evidence/{result}", headers=everything_but)) == "not-found"
    assert slug(await audit.hub.client.get("/v1/controls", headers=everything_but)) == "forbidden"
    assert (await audit.aud.ask("GET", f"/v1/evidence/{result}")).status_code == 200


async def test_the_register_tells_activities_retention_holds_and_erasures(audit: Audit) -> None:
    execute(audit.hub, f"UPDATE person SET held_us = 7, held_reason = 'case 4' WHERE person_id = {audit.aud.person}")
    told = (await audit.aud.ask("GET", "/v1/privacy/register")).json()
    assert told["legal_holds"] == [{"person": audit.aud.person, "since_us": 7, "reason": "case 4"}]
    assert (told["erased_people"], told["retention_days"], len(told["activities"])) == (0, None, len(privacy_register.shipped()))


async def test_the_register_names_tables_that_exist(hub: TestHub) -> None:
    tables = {name for (name,) in hub.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")}
    assert {table for one in privacy_register.shipped() for table in one.tables} - tables == set()


def test_an_activity_that_stands_twice_or_says_something_unknown_is_refused(tmp_path: Any) -> None:
    text = """[[activity]]
name = "x"
purpose = "x"
basis = "x"
persons = "x"
data = ["x"]
tables = ["person"]
recipients = "x"
transfers = "x"
retention = "x"
measures = ["x"]
status = "confirmed"
"""
    assert len(privacy_register.parse(tmp_path, text)) == 1
    for wrong in (text + text, text.replace('"confirmed"', '"perhaps"'), text + 'more = "x"\n'):
        with pytest.raises(ConfigError):
            privacy_register.parse(tmp_path, wrong)
