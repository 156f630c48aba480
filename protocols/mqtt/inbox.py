"""Which messages still wait for their acknowledgement, and which come a second time. Pure; ids and bytes only.

A message is acknowledged to the broker only when the frame it went into is durable. Until then a redelivery of it is not taken again but joins
the original; after that a redelivery (the acknowledgement was lost on the way) is acknowledged at once. Reach, stated honestly: the guard knows
the last `REACH` messages of this process and those that an earlier one had made durable (`delivered`, kept with the samples).
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import Final, NamedTuple

REACH: Final = 8192


class Message(NamedTuple):
    """mid: the packet number, 0 for QoS 0. again: the broker says that it may have sent it before (DUP, or retained).

    too_large: size of a message whose payload was left out for that, else 0.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    again: bool
    arrived_us: int
    retained: bool = False
    too_large: int = 0


class Inbox:
    """key of a message: its bytes where they carry a time, else its number too, because equal values are then no sign of equal messages."""

    def __init__(self, *, stamped: "bool | Callable[[Message], bool]", delivered: Collection[bytes] = ()) -> None:
        """stamped: whether messages carry a time, or how to tell that of one."""
        self._stamped: Callable[[Message], bool] = stamped if callable(stamped) else lambda _: stamped
        self._durable: OrderedDict[bytes, bool] = OrderedDict.fromkeys(delivered, True)
        self._joined: dict[bytes, list[int]] = {}
        self._unreleased: dict[int, bytes] = {}

    def key(self, message: Message) -> bytes:
        """16 bytes, the same in every process."""
        number = b"" if self._stamped(message) and not message.too_large else message.mid.to_bytes(2, "big")
        return blake2b(number + message.topic.encode() + b"\0" + message.payload, digest_size=16).digest()

    def repeated(self, message: Message, key: bytes) -> bool | None:
        """None: new, take it. True: already durable, acknowledge it now. False: wait for the original's frame."""
        known = self._durable.get(key) if message.again or self._stamped(message) else None
        if known is False and message.qos:
            self._joined.setdefault(key, []).append(message.mid if message.qos == 1 else message.mid | 1 << 16)
        return known

    def taken(self, key: bytes) -> None:
        """The message is part of a frame from now on, until `durable`."""
        self._durable[key] = False
        while len(self._durable) > REACH:
            self._durable.popitem(last=False)

    def expect_release(self, message: Message, key: bytes) -> None:
        """A message of QoS 2 without a time: its number and bytes mean this message until it is released."""
        if not self._stamped(message):
            self._unreleased[message.mid] = key

    def released(self, mid: int) -> None:
        """The broker is done with the message; its number and bytes may now mean another (MQTT 3.1.1, 4.3.3)."""
        key = self._unreleased.pop(mid, None)
        if key is not None and self._durable.get(key):
            del self._durable[key]

    def durable(self, key: bytes) -> list[int]:
        """Numbers of redeliveries that can be acknowledged together with the original."""
        if key in self._durable:
            self._durable[key] = True
        return self._joined.pop(key, [])

    def reconnected(self) -> None:
        """Packet numbers of the old connection mean nothing on a new one."""
        self._joined.clear()
