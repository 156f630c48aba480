"""The register of processing activities (GDPR, art. 30): what the program does with personal data, from a data file.

For the controller's record and for the page that shows it. Not for a tenant's own activities outside of the hub, and not for requests of
persons (`identity.privacy`).
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from cloud.db import Connection
from protocols.tomlfile import Section, TomlFile

STATUSES = ("confirmed", "unconfirmed")


@dataclass(frozen=True, slots=True)
class Activity:
    """tables: where the data lie. retention: in words; what a tenant set is told beside it."""

    name: str
    purpose: str
    basis: str
    persons: str
    data: tuple[str, ...]
    tables: tuple[str, ...]
    recipients: str
    transfers: str
    retention: str
    measures: tuple[str, ...]
    status: str


@cache
def shipped() -> tuple[Activity, ...]:
    path = Path(str(files("cloud.compliance"))) / "privacy_register.toml"
    return parse(path, path.read_text(encoding="utf-8"))


def parse(path: Path, text: str) -> tuple[Activity, ...]:
    """Raises ConfigError with file and line."""
    root = TomlFile(path, text).root
    found: list[Activity] = []
    for section in root.sections("activity"):
        one = _activity(section)
        if one.name in [known.name for known in found]:
            raise section.error("name", f'activity "{one.name}" stands twice')
        found.append(one)
    root.done()
    return tuple(found)


def _activity(section: Section) -> Activity:
    one = Activity(
        section.text("name"), section.text("purpose"), section.text("basis"), section.text("persons"), section.texts("data"),
        section.texts("tables"), section.text("recipients"), section.text("transfers"), section.text("retention"), section.texts("measures"),
        section.choice("status", STATUSES),
    )  # fmt: skip
    section.done()
    return one


async def holds_and_erasures(connection: Connection, tenant_id: int) -> tuple[list[dict[str, Any]], int]:
    """Legal holds that stand, by number of the person, and how many people were erased."""
    cursor = await connection.execute(
        "SELECT person_id, held_us, held_reason FROM person WHERE tenant_id = %s AND held_us IS NOT NULL ORDER BY person_id", (tenant_id,)
    )
    rows: list[Any] = await cursor.fetchall()
    cursor = await connection.execute("SELECT count(*) FROM person WHERE tenant_id = %s AND erased_us IS NOT NULL", (tenant_id,))
    erased: Any = await cursor.fetchone()
    return [{"person": row[0], "since_us": row[1], "reason": row[2]} for row in rows], int(erased[0])
