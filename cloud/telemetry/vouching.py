"""Batches of an ended key, taken on the word of the gateway's present key.

A key ends after a rotation, and what it signed before may still wait in the gateway's buffer, because the hub was away for longer than the overlap.
Then the present key signs the hashes of exactly these batches, and the request carries that word in the header `Vouched` (base64). The word is
kept and logged. It opens nothing to a thief of the old key: without the present one there is no word. Not for unknown keys, nor for gateways
whose keys were all revoked: these have no present key until they are enrolled again.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from cloud.errors import Problem
from cloud.identity.keyring import GatewayKey, KeyRing
from protocols import signed
from protocols.batch.errors import BatchError

HEADER: Final = "vouched"
KIND: Final = "vouched"
LOG_KIND: Final = "vouched"
LONGEST_HEADER: Final = 8192  # 64 hashes are below half of it


@dataclass(frozen=True, slots=True)
class Vouched:
    """entries: hashes of statements that `key`, which is valid, answers for."""

    key: GatewayKey
    entries: frozenset[bytes]
    statement: bytes

    def covers(self, entry: bytes, key: GatewayKey) -> bool:
        """Whether it is about this statement, and by a key of the same gateway."""
        return entry in self.entries and (key.tenant_id, key.gateway_id) == (self.key.tenant_id, self.key.gateway_id)


async def read(header: str | None, keys: KeyRing, at_us: int) -> Vouched | None:
    """None where the request has no such header. Raises Problem."""
    if not header:
        return None
    try:
        if len(header) > LONGEST_HEADER:
            raise Problem("too-large", f"the header Vouched has {len(header)} characters, {LONGEST_HEADER} are allowed")
        statement = base64.b64decode(header, validate=True)
        found = signed.parse(statement, KIND)
        key = await keys.get(found.key_id)
        if key is None or not key.is_valid(at_us):
            raise Problem("revoked-key", "the key that vouches is unknown or has ended; enrol again")
        found.verify(key.verifier)
    except binascii.Error as error:
        raise Problem("malformed-request", "the header Vouched is not base64") from error
    except BatchError as error:
        raise Problem("malformed-request" if error.slug == "malformed-batch" else error.slug, f"header Vouched: {error}") from error
    entries = found.content
    if found.issuer != key.urn or not isinstance(entries, list) or not all(isinstance(one, bytes) and len(one) == 32 for one in entries):
        raise Problem("malformed-request", f"the header Vouched is a list of hashes by {key.urn}")
    return Vouched(key, frozenset(entries), statement)
