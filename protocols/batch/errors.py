"""What can be wrong with a batch, a receipt or a bundle.

Each leaf carries the `slug` under which the hub names it in a problem document; the text is a plain sentence for a person.
"""

from typing import ClassVar


class BatchError(Exception):
    slug: ClassVar[str] = "malformed-batch"


class MalformedBatch(BatchError):
    """Bytes that do not follow the profile: the peer's program is wrong, or the bytes were changed."""


class WrongAlgorithm(BatchError):
    """The algorithm is not the one enrolled for the key."""

    slug: ClassVar[str] = "wrong-algorithm"


class BadSignature(BatchError):
    """The signature does not fit the bytes and the key."""

    slug: ClassVar[str] = "bad-signature"


class Bomb(BatchError):
    """A compressed payload that would unpack to more than the profile allows."""

    slug: ClassVar[str] = "bomb"


class TooLarge(BatchError):
    """More bytes or samples than one batch may hold: the sender has to cut smaller batches."""

    slug: ClassVar[str] = "too-large"
