"""MBAP frames: exchanges as they go over the wire, pymodbus as second implementation, and bytes that are no answer."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.file_message import FileRecord, ReadFileRecordRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from protocols.modbus.address import Area, Span
from protocols.modbus.ask import Ask
from protocols.modbus.mbap import BadAnswer, answer, frame_size
from protocols.modbus.texts import parse_objects

# Request, answer, what was asked, what the answer says. The PDUs are the examples of Modbus AP v1.1b3, 6.1 to 6.16.
CAPTURED: dict[str, tuple[str, str, Ask, bytes | int]] = {
    "coils 20 to 38": ("000100000006110100130013", "000100000006110103CD6B05", Ask.read(17, Span(Area.COIL, 0x13, 19)), b"\xcd\x6b\x05"),
    "inputs 197 to 218": (
        "000100000006110200C40016",
        "000100000006110203ACDB35",
        Ask.read(17, Span(Area.DISCRETE, 0xC4, 22)),
        b"\xac\xdb\x35",
    ),
    "registers 108 to 110": (
        "0001000000061103006B0003",
        "000100000009110306022B00000064",
        Ask.read(17, Span(Area.HOLDING, 0x6B, 3)),
        b"\x02\x2b\0\0\0\x64",
    ),
    "input register 9": ("000100000006110400080001", "000100000005110402000A", Ask.read(17, Span(Area.INPUT, 8, 1)), b"\0\x0a"),
    "coil 173 on": ("000100000006110500ACFF00", "000100000006110500ACFF00", Ask.set_coil(17, 0xAC, True), b""),
    "register 2 to 3": ("000100000006110600010003", "000100000006110600010003", Ask.set_register(17, 1, b"\0\x03"), b""),
    "registers 2 and 3": (
        "00010000000B11100001000204000A0102",
        "000100000006111000010002",
        Ask.set_registers(17, 1, b"\0\x0a\x01\x02"),
        b"",
    ),
    "masked register 5": ("0001000000081116000400F20025", "0001000000081116000400F20025", Ask.mask_register(17, 4, 0xF2, 0x25), b""),
    "file record": (
        "00010000000A11140706000400010002",
        "00010000000911140605060DFE0020",
        Ask.read(17, Span(Area.FILE, 4 << 16 | 1, 2)),
        b"\x0d\xfe\0\x20",
    ),
    "illegal address": ("000100000006110104A10001", "000100000003118102", Ask.read(17, Span(Area.COIL, 0x4A1, 1)), 2),
    "echo": ("00010000000611080000A537", "00010000000611080000A537", Ask.echo(17, 0xA537), b""),
}


@pytest.mark.parametrize(("asked", "answered", "ask", "result"), CAPTURED.values(), ids=CAPTURED.keys())
def test_exchange_is_understood(asked: str, answered: str, ask: Ask, result: bytes | int) -> None:
    assert ask.frame(1).hex() == asked.lower()
    frame = bytes.fromhex(answered)
    assert frame_size(frame) == len(frame)
    assert answer(frame, 1, ask) == result


FRAMER = FramerSocket(DecodePDU(is_server=True))
unit, word = st.integers(0, 255), st.integers(0, 0xFFFF)


@settings(max_examples=50)
@given(unit, word, word, st.integers(1, 125), st.booleans(), st.lists(word, min_size=1, max_size=123))
def test_requests_are_those_of_pymodbus(number: int, at: int, value: int, count: int, on: bool, values: list[int]) -> None:
    two = value.to_bytes(2, "big")
    pairs = [
        (Ask.read(number, Span(Area.COIL, at, count)), ReadCoilsRequest(address=at, count=count, dev_id=number)),
        (Ask.read(number, Span(Area.INPUT, at, count)), ReadInputRegistersRequest(address=at, count=count, dev_id=number)),
        (Ask.set_coil(number, at, on), WriteSingleCoilRequest(address=at, bits=[on], dev_id=number)),
        (Ask.set_coils(number, at, on), WriteMultipleCoilsRequest(address=at, bits=[on], dev_id=number)),
        (Ask.set_register(number, at, two), WriteSingleRegisterRequest(address=at, registers=[value], dev_id=number)),
        (
            Ask.set_registers(number, at, struct.pack(f">{len(values)}H", *values)),
            WriteMultipleRegistersRequest(address=at, registers=values, dev_id=number),
        ),
        (Ask.mask_register(number, at, value, at), MaskWriteRegisterRequest(address=at, and_mask=value, or_mask=at, dev_id=number)),
        (
            Ask.read(number, Span(Area.FILE, 7 << 16 | at, count)),
            ReadFileRecordRequest([FileRecord(file_number=7, record_number=at, record_length=2 * count)], dev_id=number),
        ),
        (Ask.identify(number, 2, 5), ReadDeviceInformationRequest(read_code=2, object_id=5, dev_id=number)),
    ]
    for ask, request in pairs:
        request.transaction_id = 77
        assert ask.frame(77) == FRAMER.buildFrame(request), request


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_identification_is_that_of_pymodbus(vendor: str, product: str) -> None:
    texts = {0: vendor.encode()[:100], 1: product.encode()[:100]}
    response = ReadDeviceInformationResponse(read_code=1, information=dict(texts), dev_id=9)
    response.transaction_id = 5
    data = answer(FRAMER.buildFrame(response), 5, Ask.identify(9, 1, 0))
    assert isinstance(data, bytes)
    assert dict(parse_objects(data).texts) == texts


ASK = Ask.read(17, Span(Area.HOLDING, 0x6B, 3))
ANSWER = bytes.fromhex("000100000009110306022B00000064")


@given(st.integers(0, 8), st.integers(1, 255))
def test_answer_with_a_wrong_head_is_no_answer(at: int, flipped: int) -> None:
    garbled = bytearray(ANSWER)
    garbled[at] ^= flipped
    try:
        size = frame_size(bytes(garbled))
    except BadAnswer:
        return
    if size == len(garbled):
        with pytest.raises(BadAnswer):
            answer(bytes(garbled), 1, ASK)


@given(st.binary(min_size=6, max_size=300))
def test_noise_is_never_an_answer(noise: bytes) -> None:
    try:
        size = frame_size(noise)
        if size == len(noise):
            answer(noise, 1, ASK)
            raise AssertionError(noise.hex())
    except BadAnswer:
        pass
