"""Who did something, as the journal names them: by an identifier, never by a person's name.

The journal is evidence and is never changed; a person's data are theirs and may have to go. So an action says "person/7", and whoever shows
the journal looks up what person 7 is called at that moment. Erasing a person changes the one row that has the name.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from cloud.db import Connection

COMMAND_LINE: Final = "command line"
HUB: Final = "hub"


@dataclass(frozen=True, slots=True)
class Actor:
    """by: "person/7", "token/name", "command line" or "hub"."""

    tenant_id: int
    by: str


# record(connection, actor, action, subject, detail): in the transaction that does it; neither secrets nor names of people in detail
Record = Callable[[Connection, Actor, str, str, dict[str, Any]], Awaitable[None]]


def person_ref(person_id: int) -> str:
    return f"person/{person_id}"
