"""What hub and gateway say to each other about the gateway's configuration, each signed by who says it.

The hub signs with the key of the tenant's log, which the gateway learned at its enrolment; the gateway with its own key. Not for what a
configuration may change (`edge.remoterules`), nor for keeping or applying one.
"""

import enum
from dataclasses import dataclass
from typing import Final, Self

from protocols import signed
from protocols.batch import cbor
from protocols.batch.errors import MalformedBatch
from protocols.signing import Signer, Verifier

KIND: Final = "configuration"
REPORT: Final = "configuration-report"
LONGEST: Final = 1 << 20  # bytes of text
LONGEST_REASON: Final = 2000


class SyncState(enum.StrEnum):
    IN_SYNC = "IN_SYNC"
    PENDING = "PENDING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Configuration:
    """version: 1, 2, 3 ... per gateway. text: a whole gateway file. pushed_us: when the hub took it."""

    version: int
    text: str
    pushed_us: int

    def seal(self, origin: str, gateway: str, signer: Signer) -> bytes:
        return signed.seal(KIND, origin, gateway, [self.version, self.text, self.pushed_us], signer)

    @classmethod
    def open(cls, data: bytes, origin: str, gateway: str, verifier: Verifier) -> Self:
        """Raises BatchError when it is not the hub's word for this gateway."""
        found = signed.parse(data, KIND)
        found.verify(verifier)
        if (found.issuer, found.subject) != (origin, gateway):
            raise MalformedBatch(f"a configuration by {found.issuer} for {found.subject}, expected one by {origin} for {gateway}")
        match found.content:
            case [version, str(text), pushed_us] if cbor.are_ints(version, pushed_us) and version >= 1 and len(text) <= LONGEST:
                return cls(version, text, pushed_us)
        raise MalformedBatch("a configuration is [version from 1, text, when it was pushed]")


@dataclass(frozen=True, slots=True)
class Report:
    """How a gateway stands to the newest version it knows (0 = none). number: rises with every report, so that none can be repeated."""

    version: int
    state: SyncState
    reason: str
    number: int

    def seal(self, gateway: str, signer: Signer) -> bytes:
        return signed.seal(REPORT, gateway, gateway, [self.version, self.state.value, self.reason[:LONGEST_REASON], self.number], signer)

    @classmethod
    def of(cls, found: signed.Signed) -> Self:
        """Of a document whose signature was checked. Raises MalformedBatch."""
        match found.content:
            case [version, str(state), str(reason), number] if (
                cbor.are_ints(version, number) and min(version, number) >= 0 and max(version, number) < 1 << 63
            ):
                if state in SyncState.__members__ and len(reason) <= LONGEST_REASON and "\0" not in reason:
                    return cls(version, SyncState(state), reason, number)
        raise MalformedBatch("a report is [version, IN_SYNC | PENDING | FAILED, reason, number]")
