"""One-time codes of RFC 6238 (TOTP) over RFC 4226 (HOTP). Pure: the time is given, and remembering used codes is the caller's."""

import hashlib
import hmac
from typing import Final, Literal

STEP_S: Final = 30


def code(
    secret: bytes, time_s: int, *, digits: int = 6, step_s: int = STEP_S, algorithm: Literal["sha1", "sha256", "sha512"] = "sha1"
) -> str:
    """The code shown at `time_s` (Unix seconds)."""
    counter = (time_s // step_s).to_bytes(8, "big")
    digest = hmac.new(secret, counter, getattr(hashlib, algorithm)).digest()
    offset = digest[-1] & 0x0F  # RFC 4226, 5.3: dynamic truncation
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"


def matching_step(secret: bytes, given: str, time_s: int, *, digits: int = 6, drift_steps: int = 1) -> int | None:
    """The time step whose code was given, within the allowed drift, else None. A step may be used once: the caller keeps the last one."""
    steps = sorted(range(time_s // STEP_S - drift_steps, time_s // STEP_S + drift_steps + 1))
    found = [
        step for step in steps if step >= 0 and hmac.compare_digest(code(secret, step * STEP_S, digits=digits).encode(), given.encode())
    ]
    return found[-1] if found else None
