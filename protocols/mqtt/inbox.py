"""Which messages still wait for their acknowledgement, and which come a second time. Pure; ids and bytes only.

A message is acknowledged to the broker only when the frame it went into is durable. Until then a redelivery of it is not taken again but joins
the original; after that a redelivery (the acknowledgement was lost on the way) is acknowledged at once. Reach, stated honestly: the guard knows
the last `REACH` messages of this process and those that an earlier one had made durable (`delivered`, kept with the samples).
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

REACH: Final = 8192


@dataclass(frozen=True, slots=True)
class Message:
    """mid: the packet number, 0 for QoS 0. again: the broker says that it may have sent it before (DUP, or retained)."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    again: bool
    arrived_us: int


class Inbox:
    """key of a message: its bytes where they carry a time, else its number too, because equal values are then no sign of equal messages."""

    def __init__(self, *, stamped: bool, delivered: Collection[bytes] = ()) -> None:
        self._stamped = stamped
        self._durable: OrderedDict[bytes, bool] = OrderedDict.fromkeys(delivered, True)
        self._joined: dict[bytes, list[int]] = {}

    def key(self, message: Message) -> bytes:
        """16 bytes, the same in every process."""
        number = b"" if self._stamped else message.mid.to_bytes(2, "big")
        return blake2b(number + message.topic.encode() + b"\0" + message.payload, digest_size=16).digest()

    def repeated(self, message: Message, key: bytes) -> bool | None:
        """None: new, take it. True: already durable, acknowledge it now. False: wait for the original's frame."""
        known = self._durable.get(key) if message.again or self._stamped else None
        if known is False and message.qos:
            self._joined.setdefault(key, []).append(message.mid)
        return known

    def taken(self, key: bytes) -> None:
        """The message is part of a frame from now on, until `durable`."""
        self._durable[key] = False
        while len(self._durable) > REACH:
            self._durable.popitem(last=False)

    def durable(self, key: bytes) -> list[int]:
        """Numbers of redeliveries that can be acknowledged together with the original."""
        if key in self._durable:
            self._durable[key] = True
        return self._joined.pop(key, [])

    def reconnected(self) -> None:
        """Packet numbers of the old connection mean nothing on a new one."""
        self._joined.clear()
