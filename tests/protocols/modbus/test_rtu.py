"""RTU frames: published vectors, pymodbus as second implementation, and everything that is no answer."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse

from protocols.modbus.address import Area, Span
from protocols.modbus.ask import Ask
from protocols.modbus.rtu import Fate, crc16, find, request

# Frames as published: request, answer and what the answer says.
CAPTURED = {
    # The examples that descriptions of Modbus have quoted since its beginnings; registers 108 to 110 of unit 17 come first.
    "holding registers of unit 17": ("1103006B00037687", "110306AE415652434049AD", Span(Area.HOLDING, 0x6B, 3), "AE4156524340"),
    "an input register of unit 17": ("110400080001B298", "110402000AF8F4", Span(Area.INPUT, 8, 1), "000A"),
    "37 coils of unit 17": ("1101001300250E84", "110105CD6BB20E1B45E6", Span(Area.COIL, 0x13, 37), "CD6BB20E1B"),
    "22 discrete inputs of unit 17": ("110200C40016BAA9", "110203ACDB352018", Span(Area.DISCRETE, 0xC4, 22), "ACDB35"),
}


@pytest.mark.parametrize(("asked", "answered", "span", "data"), CAPTURED.values(), ids=CAPTURED.keys())
def test_captured_exchange_is_understood(asked: str, answered: str, span: Span, data: str) -> None:
    ask = Ask.read(0x11, span)
    assert request(ask) == bytes.fromhex(asked)
    found = find(bytes.fromhex(answered), ask)
    assert (found.fate, found.result, found.taken) == (Fate.ANSWER, bytes.fromhex(data), len(answered) // 2)


@given(st.binary(min_size=1, max_size=250))
def test_crc_is_that_of_pymodbus(text: bytes) -> None:
    assert crc16(text) == FramerRTU.compute_CRC(text).to_bytes(2, "big")
    assert crc16(text + crc16(text)) == b"\0\0"


@given(st.integers(1, 247), st.integers(0, 0xFF00), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125))
@settings(max_examples=40)
def test_frames_are_those_of_pymodbus(unit: int, start: int, registers: list[int]) -> None:
    framer, ask = FramerRTU(DecodePDU(is_server=True)), Ask.read(unit, Span(Area.HOLDING, start, len(registers)))
    theirs = framer.buildFrame(ReadHoldingRegistersRequest(address=start, count=len(registers), dev_id=unit))
    assert request(ask) == theirs
    answer = framer.buildFrame(ReadHoldingRegistersResponse(registers=registers, dev_id=unit))
    assert find(answer, ask).result == struct.pack(f">{len(registers)}H", *registers)


ASK = Ask.read(17, Span(Area.HOLDING, 0x6B, 3))
ANSWER = bytes.fromhex("110306AE415652434049AD")


@given(st.integers(0, len(ANSWER) - 1), st.integers(1, 255))
def test_answer_with_any_wrong_byte_is_no_answer(at: int, flipped: int) -> None:
    garbled = bytearray(ANSWER)
    garbled[at] ^= flipped
    assert find(bytes(garbled), ASK).fate is not Fate.ANSWER


@given(st.integers(0, len(ANSWER) - 1))
def test_part_of_an_answer_is_waited_for(size: int) -> None:
    assert find(ANSWER[:size], ASK).fate is Fate.PARTIAL


@given(st.binary(max_size=300))
def test_noise_is_never_an_answer_and_never_raises(noise: bytes) -> None:
    assert find(noise, ASK).fate is not Fate.ANSWER


def frame(text: bytes) -> bytes:
    return text + crc16(text)


FOREIGN = {
    "another unit": frame(bytes([18, 3, 6, 0, 0, 0, 0, 0, 0])),
    "another function": frame(bytes([17, 4, 6, 0, 0, 0, 0, 0, 0])),
    "another length": frame(bytes([17, 3, 2, 0, 0])),
    "an exception of another function": frame(bytes([17, 0x84, 2])),
    "exception 0": frame(bytes([17, 0x83, 0])),
    "an echo": frame(bytes([17, 8, 0, 0, 1, 2])),
    "a written register": frame(bytes([17, 6, 0, 1, 0, 3])),
    "an identification": frame(bytes([17, 43, 14, 1, 1, 0, 0, 1, 0, 3]) + b"abc"),
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_frame_is_skipped_whole(text: bytes) -> None:
    found = find(text + ANSWER, ASK)
    assert (found.fate, found.taken) == (Fate.FOREIGN, len(text))
    assert find((text + ANSWER)[found.taken :], ASK).fate is Fate.ANSWER


def test_nothing_is_an_answer_while_nothing_was_asked() -> None:
    assert find(ANSWER, None).fate is Fate.FOREIGN


def test_exception_is_its_code() -> None:
    assert find(frame(bytes([17, 0x83, 6])), ASK).result == 6


def test_identification_is_as_long_as_its_objects() -> None:
    text = frame(bytes([17, 43, 14, 1, 1, 0, 0, 2, 0, 2]) + b"ab" + bytes([1, 1]) + b"c")
    for size in range(len(text)):
        assert find(text[:size], Ask.identify(17, 1, 0)).fate is Fate.PARTIAL
    assert find(text, Ask.identify(17, 1, 0)).result == text[4:-2]
