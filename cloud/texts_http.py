"""Routes that take and give whole texts by version: the body as text, the version it follows, the ETag of the answer."""

from typing import Any

from fastapi import Response

from cloud import texts
from cloud.bookings import answer
from cloud.db import Connection
from cloud.errors import Problem
from cloud.identity.versions import etag, followed, outrun
from cloud.texts import StoredText, Text


async def keep(connection: Connection, tenant_id: int, kind: Text, text: str, received_us: int, if_match: str | None) -> StoredText:
    """The text as the next version. Raises Problem where If-Match names another version than the newest."""
    follows = None if if_match is None else followed(if_match)
    try:
        return await texts.add(connection, tenant_id, kind, text, received_us, follows)
    except texts.Outrun as error:
        raise outrun(follows or 0, error.present) from error


def versioned(document: Any, stored: StoredText) -> Response:
    reply = answer(document)
    reply.headers.update(etag(stored.version))
    return reply


def text_of(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem("invalid-request", f"expected UTF-8 text: {error}") from error
    if "\0" in text:
        raise Problem("invalid-request", "expected text without NUL characters")
    return text
