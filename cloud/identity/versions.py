"""ETags of what two people may edit at once: a change says which version it follows, and the loser is told."""

from typing import Annotated

from fastapi import Header

from cloud.errors import Problem

IfMatch = Annotated[str | None, Header(description='version the change follows, as in the ETag of the last answer, such as "3"')]


def etag(version: int) -> dict[str, str]:
    return {"ETag": f'"{version}"'}


def followed(if_match: str | None) -> int:
    """Raises Problem "precondition-needed" or "invalid-request"."""
    if if_match is None:
        raise Problem("precondition-needed", 'say which version the change follows: If-Match: "3", as in the ETag of the last answer')
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Problem("invalid-request", f'If-Match: expected a version such as "3", found {if_match!r}')
    return int(text)


def outrun(follows: int, present: int) -> Problem:
    """Somebody else was faster."""
    detail = f"If-Match says {follows}, version {present} is stored: somebody changed it meanwhile; read it again, then decide"
    return Problem("precondition-failed", detail, version=present)
