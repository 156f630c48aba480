"""Packets out of a stream that comes in any pieces."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.mqtt.bulksocket import MAX_PACKET, RECEIVED, BulkSocket, Published, Released, answers


class Pieces(socket.socket):
    """Gives its pieces one by one, then nothing."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._left = pieces

    def recv(self, size: int, flags: int = 0) -> bytes:
        if not self._left:
            raise BlockingIOError
        piece, self._left = self._left[0][:size], [self._left[0][size:], *self._left[1:]] if len(self._left[0]) > size else self._left[1:]
        return piece

    def close(self) -> None:
        pass


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def publish(topic: bytes, payload: bytes, mid: int, qos: int, *, five: bool) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if qos else b"") + (b"\0" if five else b"") + payload
    return bytes([0x30 | qos << 1]) + varint(len(body)) + body


def taken(sock: BulkSocket, *, five: bool) -> Iterator[Published | Released]:
    while True:
        try:
            if not sock.fill():
                return
        except BlockingIOError:
            return
        while found := sock.take(five=five):
            yield found
        if sock.pending() and sock.whole():
            return  # of another kind, which is for paho


messages = st.lists(
    st.tuples(st.binary(max_size=9), st.binary(max_size=300), st.integers(1, 65_535), st.integers(0, 2)), min_size=1, max_size=8
)


@settings(max_examples=100, deadline=None)
@given(messages, st.lists(st.integers(1, 50), min_size=1, max_size=20), st.booleans())
def test_messages_are_the_same_in_whatever_pieces_they_come(
    found: list[tuple[bytes, bytes, int, int]], cuts: list[int], five: bool
) -> None:
    stream = b"".join(publish(*message, five=five) for message in found)
    pieces, at, turn = [], 0, 0
    while at < len(stream):
        pieces.append(stream[at : at + cuts[turn % len(cuts)]])
        at, turn = at + cuts[turn % len(cuts)], turn + 1
    read = list(taken(BulkSocket(Pieces(pieces)), five=five))
    assert [one[:4] for one in read] == [(t, p, mid if qos else 0, 0x30 | qos << 1) for t, p, mid, qos in found]


def test_release_is_taken_in_both_forms() -> None:
    stream = b"\x62\x02\x01\x02" + b"\x62\x03\x01\x03\x00"
    assert list(taken(BulkSocket(Pieces([stream[:3], stream[3:]])), five=True)) == [Released(0x102), Released(0x103)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_oversized_message_is_taken_without_its_payload_and_the_next_one_follows(qos: int) -> None:
    size = 3 * MAX_PACKET
    stream = publish(b"big", b"x" * size, 7, qos, five=False) + publish(b"t", b"small", 8, 1, five=False)
    sock = BulkSocket(Pieces([stream[at : at + 50_000] for at in range(0, len(stream), 50_000)]))
    most = 0
    read = []
    for one in taken(sock, five=False):
        read.append(one)
        most = max(most, sock.pending())
    first, second = read
    assert isinstance(first, Published)
    assert (first.topic, first.payload, first.mid) == (b"big", b"", 7 if qos else 0)
    assert first.too_large > size
    assert second == Published(b"t", b"small", 8, 0x32)
    assert most <= 50_000


CONTRADICTIONS = {
    "a topic longer than the packet": b"\x32\x03\x00\xff\x00",
    "a length of five bytes": b"\x30\xff\xff\xff\xff\xff",
    "QoS 3": b"\x36\x05\x00\x01a\x00\x01",
    "no room for its number": b"\x32\x03\x00\x01a",
}


@pytest.mark.parametrize("stream", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_packet_is_refused_that_has(stream: bytes) -> None:
    with pytest.raises(ValueError, match=r"PUBLISH|length"):
        list(taken(BulkSocket(Pieces([stream + b"\x30\x03\x00\x01a"])), five=False))


def test_packet_of_another_kind_and_of_enormous_size_is_refused_before_it_is_read() -> None:
    sock = BulkSocket(Pieces([b"\x90\xff\xff\xff\x7f" + b"\0" * 100]))
    sock.fill()
    with pytest.raises(ValueError, match="packet of type 9"):
        sock.whole()


def test_answers_follow_the_quality_of_service() -> None:
    assert answers([1, 2 | RECEIVED]) == b"\x40\x02\x00\x01\x50\x02\x00\x02"


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.booleans())
def test_any_bytes_end_in_packets_or_a_plain_error(stream: bytes, five: bool) -> None:
    with suppress(ValueError):
        list(taken(BulkSocket(Pieces([stream])), five=five))
