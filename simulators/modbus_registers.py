"""A step as the registers of a simulated Modbus device say it: one image of bytes per area and per file.

Values are written as the map's tags look (word orders, decimal digits, exponents, bits), texts and identification objects stand beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import DeviceMap, Tag, TagType, to_engineering, to_raw
from protocols.modbus.address import Address, Area, Span
from protocols.modbus.decode import Layout, decode, layout
from protocols.modbus.encode import Bits, Unfit, encode
from protocols.modbus.plan import Group, Request, aside_spans, quality_span, scale_span, value_span
from protocols.modbus.settings import WordOrder, form_of, look_of, order_of
from protocols.modbus.texts import place
from simulators.face import Step

Bank = Area | int  # an area, or the number of a file
_SEVERITY_WORD: Final = (0, 1, 2, 2)
_SERVED: Final = np.array([quality.GOOD, quality.UNCERTAIN_LAST_USABLE, quality.BAD_SENSOR_FAILURE], np.uint32)
_FLOATS: Final = (TagType.FLOAT32, TagType.FLOAT64)
_FINEST: Final = -3  # the exponent that a simulated device begins with


def bank_of(span: Span) -> Bank:
    return span.file or span.area


@dataclass(frozen=True, slots=True)
class Shown:
    """One image per bank (a byte per bit, two per register), and what a client makes of it."""

    time_us: int
    images: Mapping[Bank, bytes]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


class RegisterImage:
    """The registers of one device map: where they begin and end, and how a step is written into them."""

    def __init__(self, device_map: DeviceMap, name: str = "") -> None:
        tags, options = device_map.tags, device_map.options
        self._map, self._tags, self._options = device_map, tags, options
        self._places = [value_span(tag, options) for tag in tags]
        self._ratings = [quality_span(tag, options) for tag in tags]
        self._scales = [scale_span(tag, options) for tag in tags]
        spans = [span for _, span in self._places] + [span for tag in tags for span in aside_spans(tag, options)]
        if options.source_time:
            spans.append(options.source_time)
        self.parts = frozenset(spans)
        self.places = {area: {at for span in spans if span.area is area for at in range(span.start, span.end)} for area in Area}
        self._texts = {text: place(text, options) for text in device_map.texts}
        spans += [span for where in self._texts.values() for span in where.spans]
        self.bounds: dict[Bank, tuple[int, int]] = {}
        for span in spans:
            first, end = self.bounds.get(bank_of(span), (span.record, 0))
            self.bounds[bank_of(span)] = min(first, span.record), max(end, span.record + span.count)
        self.idents = {0: device_map.maker, 1: device_map.models[0], 2: "simulated", 4: device_map.name, 5: name}
        self.idents |= {where.ident: f"{text.name} of {name}" for text, where in self._texts.items() if (where.ident or 0) > 2}  # type: ignore[misc]
        self._name = name
        self._whole: Layout | None = None

    def show(self, step: Step) -> Shown:
        """Raises OverflowError for a value that its register cannot hold, ValueError for a bad value that the map has no way to express."""
        cells = {
            bank: bytearray((end - first) * (2 if isinstance(bank, int) or not bank.of_bits else 1))
            for bank, (first, end) in self.bounds.items()
        }
        values = np.zeros(len(self._tags))
        codes = np.zeros(len(self._tags), np.uint32)
        exponents = self._exponents(step)
        for span, exponent in exponents.items():
            self._put(cells, span, (exponent % 0x10000).to_bytes(2, "big"))
        for index, tag in enumerate(self._tags):
            address, span = self._places[index]
            value, code = float(step.values[index]), int(step.quality[index])
            if span in exponents:  # the exponent is a tag itself
                value, code = float(exponents[span] * tag.scale + tag.offset), quality.GOOD
            if look_of(tag).bcd or address.width > 1 or self._scales[index]:
                raw, codes[index] = self._look(cells, index, value, code, exponents)
            else:
                raw, codes[index] = _raw(tag, value, code)
                self._write(cells, address, span, tag, raw)
            if not (raw.dtype.kind == "f" and np.isnan(raw[0])):
                values[index] = to_engineering(raw, tag.type, tag.scale, tag.offset)[0]
            if rating := self._ratings[index]:
                word = int(np.flatnonzero(codes[index] == _SERVED)[0])
                self._put(cells, rating, word.to_bytes(2, "big"))
        self._write_texts(cells)
        if self._options.source_time:
            self._put(cells, self._options.source_time, _ordered(step.time_us.to_bytes(8, "big"), self._options.word_order))
        return Shown(step.time_us, {bank: bytes(cell) for bank, cell in cells.items()}, values, codes)

    def text(self, name: str) -> str:
        """What the text of that name says."""
        text = next(text for text in self._texts if text.name == name)
        ident = self._texts[text].ident
        return f"{name} of {self._name}"[: text.length] if ident is None else self.idents[ident]

    def _write_texts(self, cells: dict[Bank, bytearray]) -> None:
        for text, where in self._texts.items():
            words = self.text(text.name).encode().ljust(text.length + text.length % 2, b"\0")
            for span in where.spans:
                self._put(cells, span, words[: 2 * span.count])
                words = words[2 * span.count :]

    def _exponents(self, step: Step) -> dict[Span, int]:
        """Per scale register the finest exponent at which every value it scales fits."""
        found: dict[Span, int] = {}
        for tag, span, value in zip(self._tags, self._scales, step.values, strict=True):
            if span is None:
                continue
            exponent = found.get(span, _FINEST)
            largest = float(np.iinfo(form_of(tag).native).max) - 1  # the outermost numbers say "no value"
            carried = 0.0 if np.isnan(value) else abs(float(to_raw(np.array([value]), tag.type, tag.scale, tag.offset)[0]))
            while carried / 10.0**exponent > largest:
                exponent += 1
            found[span] = exponent
        return found

    def _look(
        self, cells: dict[Bank, bytearray], index: int, value: float, code: int, exponents: Mapping[Span, int]
    ) -> tuple[NDArray[Any], int]:
        tag, (address, span), scale = self._tags[index], self._places[index], self._scales[index]
        exponent = None if scale is None else exponents[scale]
        word, known = _SEVERITY_WORD[code >> 30], not np.isnan(value)
        if not known or (word == 2 and not tag.quality_at):
            raw = np.zeros(1, tag.type.column)
            if tag.invalid is not None and scale is not None:
                size = 2 * span.count
                self._put(cells, span, _ordered((tag.invalid % (1 << 8 * size)).to_bytes(size, "big"), order_of(tag, self._options)))
            elif not tag.quality_at:
                raise ValueError(f'tag "{tag.name}": a bad value cannot be shown; give it "quality_at" or "invalid"')
            return raw, quality.BAD_SENSOR_FAILURE
        raw = to_raw(np.array([value]), tag.type, tag.scale, tag.offset)
        if exponent is not None:
            steps = np.rint(raw / 10.0**exponent) if exponent > 0 else np.rint(raw * 10.0**-exponent)
            raw = steps * 10.0**exponent if exponent > 0 else steps / 10.0**-exponent
        native = raw.view(tag.type.native) if raw.itemsize == tag.type.native.itemsize else raw
        try:
            wanted = encode(tag, address, self._options, native[0].item(), exponent)
        except Unfit as error:
            raise OverflowError(f'tag "{tag.name}": {error}') from error
        if isinstance(wanted, Bits):
            wanted = (int.from_bytes(self._get(cells, span), "big") & ~wanted.mask | wanted.put).to_bytes(2, "big")
        assert isinstance(wanted, bytes)
        self._put(cells, span, wanted)
        return raw, int(_SERVED[word]) if tag.quality_at else quality.GOOD

    def _write(self, cells: dict[Bank, bytearray], address: Address, span: Span, tag: Tag, raw: NDArray[Any]) -> None:
        if address.area.of_bits:
            cells[span.area][span.start - self.bounds[span.area][0]] = int(raw[0])
            return
        if address.bit is not None:
            word = int.from_bytes(self._get(cells, span), "big") | int(raw[0]) << address.bit
            self._put(cells, span, word.to_bytes(2, "big"))
            return
        size = 2 * span.count
        if tag.type in _FLOATS:
            text = raw.astype(tag.type.native.newbyteorder(">")).tobytes()
        else:
            text = (int(raw[0]) % (1 << 8 * size)).to_bytes(size, "big")
        self._put(cells, span, _ordered(text, order_of(tag, self._options)))

    def _get(self, cells: dict[Bank, bytearray], span: Span) -> bytes:
        at = 2 * (span.record - self.bounds[bank_of(span)][0])
        return bytes(cells[bank_of(span)][at : at + 2 * span.count])

    def _put(self, cells: dict[Bank, bytearray], span: Span, text: bytes) -> None:
        at = 2 * (span.record - self.bounds[bank_of(span)][0])
        cells[bank_of(span)][at : at + len(text)] = text

    def read_back(self, images: Mapping[Bank, bytes]) -> list[float]:
        """What a client would make of the images, in engineering units, in the order of the tags."""
        requests = []
        for bank, (first, end) in self.bounds.items():
            span = Span(Area.FILE, bank << 16 | first, end - first) if isinstance(bank, int) else Span(bank, first, end - first)
            requests.append(Request(span, tuple(part for part in self.parts if bank_of(part) == bank)))
        self._whole = self._whole or layout(self._map, Group(0, tuple(range(len(self._tags))), tuple(requests)))
        words = b"".join(images[bank_of(request.span)] for request in requests if not request.span.area.of_bits)
        bits = b"".join(
            np.packbits(np.frombuffer(images[request.span.area], np.uint8), bitorder="little").tobytes()
            for request in requests
            if request.span.area.of_bits
        )
        values = [0.0] * len(self._tags)
        for column, (numbers, _) in zip(self._whole.columns, decode(self._whole, words, bits), strict=True):
            for index, number in zip(column.tags.tolist(), numbers, strict=True):
                tag = self._tags[index]
                values[index] = float(to_engineering(np.array([number], column.dtype), tag.type, tag.scale, tag.offset)[0])
        return values


def _ordered(text: bytes, order: WordOrder) -> bytes:
    """High-to-low bytes in the order in which the registers carry them."""
    if len(text) < 4:
        return text
    words = [text[at : at + 2] for at in range(0, len(text), 2)]
    if order.low_word_first:
        words.reverse()
    return b"".join(word[::-1] if order.low_byte_first else word for word in words)


def _raw(tag: Tag, value: float, code: int) -> tuple[NDArray[Any], int]:
    """The column value that goes into the registers, and the quality a client will see."""
    word, known = _SEVERITY_WORD[code >> 30], not np.isnan(value)
    if known and (word < 2 or tag.quality_at):
        raw = to_raw(np.array([value]), tag.type, tag.scale, tag.offset)
        return raw, int(_SERVED[word]) if tag.quality_at else quality.GOOD
    if tag.quality_at:
        raw = np.zeros(1, tag.type.column)
    elif tag.invalid is not None:
        raw = np.array([tag.invalid], tag.type.column) if tag.type in _FLOATS else _pattern(tag.invalid, tag.type)
    elif tag.type in _FLOATS:
        raw = np.array([np.nan], tag.type.column)
    else:
        raise ValueError(f'tag "{tag.name}": a bad value cannot be shown; give it "quality_at", "invalid" or a float type')
    return raw, quality.BAD_SENSOR_FAILURE


def _pattern(number: int, kind: TagType) -> NDArray[Any]:
    size = kind.native.itemsize
    raw = np.array([number % (1 << 8 * size)], f"u{size}").view(kind.native)
    return raw.view(kind.column) if size == kind.column.itemsize else raw.astype(kind.column)
