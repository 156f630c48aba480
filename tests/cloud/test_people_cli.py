"""`qenergyz hub tenant` and `person` over a real database: who is made can sign in, and the journal says so."""

import asyncio
import base64
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud.cli import main
from cloud.identity import totp
from cloud.identity.roles import Role
from tests.cloud.conftest import TestHub
from tests.cloud.identity.people import PASSWORD, Browser, team

Command = Callable[..., Any]


@pytest.fixture
def command(hub: TestHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    (tmp_path / "data").mkdir(exist_ok=True)

    async def run(*arguments: str) -> tuple[int, dict[str, str], str]:
        """The exit code, the printed lines by what stands before the colon, and what went to standard error."""
        given = (arguments[0], "--data", str(tmp_path / "data"), "--database-url", hub.database_url, *arguments[1:])
        code = await asyncio.to_thread(main, given)
        told = capsys.readouterr()
        lines = [line.partition(": ") for line in told.out.splitlines()]
        return code, {before: after for before, _, after in lines}, told.err

    return run


async def test_a_person_is_made_with_a_generated_password(hub: TestHub, command: Command) -> None:
    code, told, _ = await command("person", "--name", "Tara", "--role", "trader", "--display", "Tara T.")
    assert code == 0
    reply = await Browser(hub.client).sign_in("tara", password=told["password"])
    assert (reply.status_code, reply.json()["display"], reply.json()["role"]) == (201, "Tara T.", "trader")


async def test_a_password_may_come_from_standard_input(hub: TestHub, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    code, told, _ = await command("person", "--name", "tara", "--role", "trader", "--password-stdin")
    assert (code, told) == (0, {})
    assert (await Browser(hub.client).sign_in("tara")).status_code == 201
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    code, _, fault = await command("person", "--name", "olga", "--role", "operator", "--password-stdin")
    assert code == 1
    assert "12 to 200 characters" in fault


async def test_one_time_codes_may_be_set_up_at_once(hub: TestHub, command: Command) -> None:
    code, told, _ = await command("person", "--name", "tara", "--role", "trader", "--totp")
    assert code == 0
    assert told["totp uri"].startswith("otpauth://totp/")
    begun = await Browser(hub.client).sign_in("tara", password=told["password"])
    assert begun.status_code == 202
    answer = {"challenge": begun.json()["challenge"], "code": totp.code(base64.b32decode(told["totp key"]), int(time.time()))}
    assert (await hub.client.post("/v1/session/second", json=answer)).status_code == 201


async def test_a_name_that_is_taken_and_a_role_that_is_none_are_refused(command: Command) -> None:
    assert (await command("person", "--name", "tara", "--role", "trader"))[0] == 0
    code, _, fault = await command("person", "--name", "TARA", "--role", "operator")
    assert code == 1
    assert 'has a person "tara" already' in fault
    with pytest.raises(SystemExit):
        await command("person", "--name", "eve", "--role", "emperor")


async def test_a_tenant_is_made_with_settings_and_a_first_admin_by_one_command(hub: TestHub, command: Command) -> None:
    wishes = ("--jurisdiction", "GY", "--zone", "America/Guyana", "--gateways", "3", "--people", "2", "--retention-days", "3650")
    code, told, _ = await command("tenant", "--name", "exoil", "--admin", "alia", *wishes)
    assert code == 0
    assert "hub.localhost/exoil" in told
    invitation = told["invitation for alia, good for 3 days"].partition("#invitation=")[2]
    inside = await hub.client.post("/v1/invitations", json={"invitation": invitation, "password": PASSWORD})
    assert (inside.json()["tenant"], inside.json()["role"]) == ("exoil", "admin")
    rows = hub.rows("SELECT document FROM tenant_setting")
    assert [(row[0]["jurisdiction"], row[0]["zone"], row[0]["gateways"]) for row in rows] == [("GY", "America/Guyana", 3)]
    code, _, _ = await command("tenant", "--name", "exoil", "--people", "5")
    rows = hub.rows("SELECT version, document FROM tenant_setting")
    assert [(row[0], row[1]["people"], row[1]["gateways"]) for row in rows] == [(2, 5, 3)]


@pytest.mark.parametrize(
    ("wishes", "fault"),
    [(("--zone", "Atlantis/Centre"), "Atlantis/Centre"), (("--people", "0"), "more than 0"), (("--name", "Ex Oil"), "lower-case")],
    ids=["zone", "quota", "name"],
)
async def test_a_tenant_with_wrong_settings_is_not_made(hub: TestHub, command: Command, wishes: tuple[str, ...], fault: str) -> None:
    code, _, told = await command("tenant", "--name", "exoil", *wishes)
    assert code == 1
    assert fault in told
    assert hub.rows("SELECT count(*) FROM tenant WHERE name <> 'default'") == [(0,)]


async def test_what_the_command_line_does_is_in_the_journal(hub: TestHub, command: Command) -> None:
    carl = await team(hub, "carl", Role.COMPLIANCE_OFFICER)
    await hub.gateway("rig1")
    for arguments in (
        ("person", "--name", "tara", "--role", "trader"),
        ("voucher", "--gateway", "rig2"),
        ("token", "--name", "grafana", "--scope", "read:field"),
        ("revoke", "rig1"),
        ("tenant", "--name", "default", "--people", "9"),
    ):
        assert (await command(*arguments))[0] == 0
    found = (await carl.ask("GET", "/v1/journal", params={"by": "command line"})).json()["journal"]
    assert [(one["action"], one["subject_name"]) for one in reversed(found)] == [
        ("make-person", "tara"),
        ("make-voucher", "gateway/rig2"),
        ("make-token", "token/grafana"),
        ("revoke-keys", "gateway/rig1"),
        ("change-tenant", "tenant"),
    ]
