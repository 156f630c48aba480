"""Addresses of Modbus devices as gateway files write them."""

import pytest

from protocols.modbus.endpoint import Endpoint, Line, Transport, parse_endpoint

KNOWN = {
    "10.0.0.1:1502": Endpoint(Transport.TCP, "10.0.0.1", 1502),
    "plc": Endpoint(Transport.TCP, "plc", 502),
    "[::1]:1502": Endpoint(Transport.TCP, "::1", 1502),
    "tcp://plc": Endpoint(Transport.TCP, "plc", 502),
    "tls://plc": Endpoint(Transport.TLS, "plc", 802),
    "tls://[::1]:8020": Endpoint(Transport.TLS, "::1", 8020),
    "udp://plc": Endpoint(Transport.UDP, "plc", 502),
    "rtu+tcp://moxa:4001": Endpoint(Transport.RTU_TCP, "moxa", 4001),
    "rtu:///dev/ttyUSB0": Endpoint(Transport.SERIAL, "/dev/ttyUSB0", 0, Line(19200, "E", 1)),
    "rtu:///dev/ttyS1?baud=9600&parity=n&stop=2": Endpoint(Transport.SERIAL, "/dev/ttyS1", 0, Line(9600, "N", 2)),
}
REFUSED = {
    ":1502": "expected",
    "plc:x": "expected",
    "plc:70000": "expected",
    "plc/5:502": "expected",
    "http://plc": "expected one of tcp://",
    "rtu+tcp://moxa": "expected",
    "rtu://ttyUSB0": "expected",
    "rtu:///dev/x?speed=9600": "found speed",
    "rtu:///dev/x?baud=9601": "expected a baud",
    "rtu:///dev/x?parity=M": "expected parity",
    "rtu:///dev/x?stop=3": "expected parity",
}


@pytest.mark.parametrize(("text", "endpoint"), KNOWN.items(), ids=KNOWN.keys())
def test_address_names(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(("text", "sentence"), REFUSED.items(), ids=REFUSED.keys())
def test_address_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_endpoint(text)


def test_silence_is_three_and_a_half_characters_and_constant_above_19200_baud() -> None:
    assert Line(9600, "E", 1).silence_s == pytest.approx(3.5 * 11 / 9600)
    assert Line(9600, "N", 1).silence_s == pytest.approx(3.5 * 10 / 9600)
    assert Line(115200, "E", 1).silence_s == 0.00175
