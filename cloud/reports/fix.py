"""FIX messages as tag=value fields: read, write, BodyLength (9) and CheckSum (10).

For messages that leave or reach the hub as bytes. Not a session: sequence numbers, resends and heartbeats are the counterparty's adapter.
Rules of the FIX session protocol kept here: BeginString, BodyLength and MsgType come first and in this order, CheckSum last; BodyLength
counts the bytes after its own delimiter up to and with the delimiter before 10=; CheckSum is the sum of all bytes before 10= modulo 256, in
three digits; a tag has no leading zero and no empty value; fields of raw data are as long as the length field before them says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloud.reports import fix_dictionary
from cloud.reports.errors import ReportError
from cloud.reports.layers import CannotRun, Fault, Layer, Validation, validate

SOH: Final = b"\x01"
ENCODING: Final = "latin-1"  # every byte is kept
MOST_BYTES: Final = 1024 * 1024
# Data field by its length field (FIX 4.4 dictionary: types DATA and LENGTH).
DATA_OF: Final[Mapping[int, int]] = {90: 91, 93: 89, 95: 96, 212: 213, 348: 349, 350: 351, 352: 353, 354: 355, 356: 357, 358: 359,
                                     360: 361, 362: 363, 364: 365, 445: 446, 618: 619, 621: 622}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    tag: int
    value: str


@dataclass(frozen=True, slots=True)
class Message:
    """begin: such as FIX.4.4. fields: all but 8, 9 and 10, in order; the first is MsgType (35)."""

    begin: str
    fields: tuple[Field, ...]

    @property
    def type(self) -> str:
        return self.fields[0].value

    def get(self, tag: int) -> str | None:
        return next((field.value for field in self.fields if field.tag == tag), None)


def body_length(before_checksum: bytes) -> int:
    """Of a message from 8= up to and with the delimiter before 10=."""
    ends = [index for index, byte in enumerate(before_checksum[:200]) if byte == 1]
    if len(ends) < 2:
        raise ReportError("tag 9", "expected 8= and 9= with delimiters at the beginning")
    return len(before_checksum) - ends[1] - 1


def checksum(before_checksum: bytes) -> str:
    return f"{sum(before_checksum) % 256:03}"


def write(message: Message) -> bytes:
    """Raises ReportError for a message that could not be read again."""
    if not message.fields or message.fields[0].tag != 35:
        raise ReportError("tag 35", "MsgType must be the first field of the body")
    body = b"".join(_field(field) for field in message.fields)
    head = b"8=" + message.begin.encode(ENCODING) + SOH + b"9=%d" % len(body) + SOH + body
    data = head + b"10=" + checksum(head).encode() + SOH
    if read(data) != message:
        raise ReportError("message", "a value holds a delimiter, or a data field does not have the length that is said before it")
    return data


def _field(field: Field) -> bytes:
    try:
        return b"%d=" % field.tag + field.value.encode(ENCODING) + SOH
    except UnicodeEncodeError as error:
        raise ReportError(f"tag {field.tag}", "a character has no byte in this encoding") from error


def read(data: bytes) -> Message:
    """A message whose length and checksum fit. Raises ReportError naming the tag."""
    fields = _fields(data)
    for fault in (*_shape(fields), *_sums(data, fields)):
        raise ReportError(fault.place, fault.message)
    return Message(fields[0].value, tuple(fields[2:-1]))


def check(data: bytes) -> Validation:
    """Schema: form and order of fields, and what the dictionary of FIX 4.4 says of them. Checksum: 9 and 10. Cross-field: numbers of the
    header. There is no reference data for FIX here."""
    try:
        fields = _fields(data)
    except ReportError as error:
        broken = Fault(Layer.SCHEMA, "FIX-S-FORM", error.place, 0, error.message)
        return validate({Layer.SCHEMA: lambda: (broken,), Layer.CHECKSUM: _unreadable, Layer.CROSS_FIELD: _unreadable})
    return validate(
        {
            Layer.SCHEMA: lambda: (*_shape(fields), *_defined(fields)),
            Layer.CHECKSUM: lambda: _sums(data, fields),
            Layer.CROSS_FIELD: lambda: _numbers(fields),
        }
    )


def _unreadable() -> tuple[Fault, ...]:
    raise CannotRun("the fields cannot be told apart")


def _fields(data: bytes) -> list[Field]:
    if not 0 < len(data) <= MOST_BYTES:
        raise ReportError("message", f"expected 1 to {MOST_BYTES} bytes, found {len(data)}")
    found: list[Field] = []
    start = 0
    while start < len(data):
        equal = data.find(b"=", start)
        tag = data[start:equal] if equal > start else b""
        if not (tag.isdigit() and tag[:1] != b"0" and len(tag) <= 6):
            raise ReportError(f"byte {start}", f"expected a tag and '=', found {data[start : start + 20]!r}")
        end = _end(data, equal + 1, int(tag), found)
        if end < 0 or data[end : end + 1] != SOH:
            raise ReportError(f"tag {int(tag)}", "the field does not end with a delimiter")
        found.append(Field(int(tag), data[equal + 1 : end].decode(ENCODING)))
        start = end + 1
    return found


def _end(data: bytes, start: int, tag: int, before: list[Field]) -> int:
    """Where the value ends: at the delimiter, or for raw data after the length that the field before says."""
    if before and DATA_OF.get(before[-1].tag) == tag:
        length = before[-1].value
        if not (length.isascii() and length.isdigit() and len(length) <= 7):
            raise ReportError(f"tag {before[-1].tag}", f"expected a length, found {length[:20]!r}")
        return start + int(length)
    return data.find(SOH, start)


def _shape(fields: list[Field]) -> tuple[Fault, ...]:
    found = []
    tags = [field.tag for field in fields]
    if tags[:3] != [8, 9, 35]:
        found.append(_fault(Layer.SCHEMA, "FIX-S-ORDER", "tag 8", f"expected tags 8, 9, 35 first, found {tags[:3]}"))
    if tags[-1] != 10:
        found.append(_fault(Layer.SCHEMA, "FIX-S-ORDER", f"tag {tags[-1]}", "expected CheckSum (10) last"))
    repeated = [tag for tag in (8, 9, 10, 35) if tags.count(tag) > 1]
    found += [_fault(Layer.SCHEMA, "FIX-S-REPEATED", f"tag {tag}", f"stands {tags.count(tag)} times") for tag in repeated]
    found += [_fault(Layer.SCHEMA, "FIX-S-EMPTY", f"tag {field.tag}", "has no value") for field in fields if not field.value]
    return tuple(found)


def _defined(fields: list[Field]) -> tuple[Fault, ...]:
    found = fix_dictionary.faults([(field.tag, field.value) for field in fields], fix_dictionary.fix44())
    return tuple(_fault(Layer.SCHEMA, f"FIX-S-{one.reason}", f"tag {one.tag}", one.message) for one in found)


def _sums(data: bytes, fields: list[Field]) -> tuple[Fault, ...]:
    if [field.tag for field in fields[:2]] != [8, 9] or fields[-1].tag != 10:
        return (_fault(Layer.CHECKSUM, "FIX-C-LENGTH", "tag 9", "length and checksum have no place to stand"),)
    before = data[: len(data) - len(fields[-1].value) - 4]
    found = []
    said, counted = fields[1].value, body_length(before)
    if said != str(counted):
        found.append(_fault(Layer.CHECKSUM, "FIX-C-LENGTH", "tag 9", f"expected BodyLength {counted}, found {said[:20]!r}"))
    if fields[-1].value != checksum(before):
        found.append(
            _fault(Layer.CHECKSUM, "FIX-C-SUM", "tag 10", f"expected CheckSum {checksum(before)}, found {fields[-1].value[:20]!r}")
        )
    return tuple(found)


def _numbers(fields: list[Field]) -> tuple[Fault, ...]:
    """MsgSeqNum is a positive number, but in a SequenceReset, where it does not count; nobody sends to himself."""
    values = {field.tag: field.value for field in reversed(fields)}
    found = []
    number = values.get(34)
    if number is not None and values.get(35) != "4" and not (number.isascii() and number.isdigit() and int(number) > 0):
        found.append(_fault(Layer.CROSS_FIELD, "FIX-X-SEQUENCE", "tag 34", f"expected a positive number, found {number[:20]!r}"))
    if values.get(43) == "Y" and 122 not in values:
        found.append(
            _fault(Layer.CROSS_FIELD, "FIX-X-POSSDUP", "tag 122", "a message that may be a repetition says when it was first sent")
        )
    if 49 in values and values[49] == values.get(56):
        found.append(_fault(Layer.CROSS_FIELD, "FIX-X-PARTIES", "tag 56", f"sender and target are both {values[49][:60]!r}"))
    return tuple(found)


def _fault(layer: Layer, check_id: str, place: str, message: str) -> Fault:
    return Fault(layer, check_id, place, 0, message)
