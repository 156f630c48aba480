"""Event: something that happened at a device and is no number: an alarm, a text that changed, a write, a clock that lost its source.

Events are kept, signed and numbered like samples, in the batches of the stream `event`. As a map of CBOR (keys are texts, values texts,
whole numbers, floats, truth values):

    kind      alarm, text, write, clock, device
    device    name of the device in the gateway's file
    source    what it is about: a tag, a node, a condition
    source_us when it happened, microseconds since 1970 by the device's clock
    gateway_us when the agent had it
    severity  0 (telling) to 1000 (worst), as in OPC 10000-5, 6.4.2
    message   a sentence, in the device's words where it gave any
    detail    map of further members, per kind
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KINDS: Final = ("alarm", "text", "write", "clock", "device")
LONGEST: Final = 2_000  # characters of a message or of a text in `detail`; what is longer is cut, and says so
Detail = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    device: str
    source: str
    source_us: int
    gateway_us: int
    message: str = ""
    severity: int = 0
    detail: Detail = field(default_factory=dict)

    def members(self) -> dict[str, Any]:
        """The map that is signed."""
        return {
            "kind": self.kind,
            "device": self.device,
            "source": self.source,
            "source_us": self.source_us,
            "gateway_us": self.gateway_us,
            "severity": self.severity,
            "message": _short(self.message),
            "detail": {key: _short(value) if isinstance(value, str) else value for key, value in self.detail.items()},
        }

    @classmethod
    def parse(cls, members: Mapping[Any, Any]) -> "Event":
        """Raises ValueError for what is no event."""
        try:
            detail = members["detail"]
            if not isinstance(detail, Mapping) or not all(isinstance(value, str | int | float | bool) for value in detail.values()):
                raise TypeError("detail holds texts, numbers and truth values")
            texts = [members[key] for key in ("kind", "device", "source", "message")]
            numbers = [members[key] for key in ("source_us", "gateway_us", "severity")]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an event: {error!r}") from error
        if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
            raise ValueError("not an event: kind, device, source and message are texts, times and severity whole numbers")
        kind, device, source, message = texts
        source_us, gateway_us, severity = numbers
        return cls(kind, device, source, source_us, gateway_us, message, severity, dict(detail))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
