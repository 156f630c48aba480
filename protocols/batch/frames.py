"""The zstd frame around a payload: always within the limits that the reader enforces before it unpacks anything.

Limits: exactly one frame with its content size, no dictionary, window <= 8 MiB, content <= 16 MiB, content <= 200 x the frame.
Compressors are kept per thread, since making one costs more than a batch and none may be used by two threads at once.
"""

import threading
from typing import Final

import zstandard

from protocols.batch.errors import Bomb, MalformedBatch, TooLarge

LEVEL: Final = 3
MAX_WINDOW: Final = 8 << 20
MAX_PLAIN: Final = 16 << 20
MAX_RATIO: Final = 200
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BLOCK: Final = 128 << 10


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True, write_checksum=False, write_dict_id=False)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)


_PER_THREAD: Final = _PerThread()


def compress(plain: bytes) -> bytes:
    """Raises TooLarge when `plain` is more than a payload may hold."""
    if len(plain) > MAX_PLAIN:
        raise TooLarge(f"a payload of {len(plain)} bytes, {MAX_PLAIN} are allowed")
    frame = _PER_THREAD.compressor.compress(plain)
    return frame if len(plain) <= MAX_RATIO * len(frame) else _diluted(plain)


def _diluted(plain: bytes) -> bytes:
    """A frame that begins with raw blocks (RFC 8878, 3.1.1.2), just long enough for the ratio to hold."""
    raw = len(plain) // MAX_RATIO
    tail = _PER_THREAD.compressor.compress(plain[raw:])
    # Two-byte window form: descriptor 0x80 = 4-byte content size, no single segment; 0x68 = window of 8 MiB.
    out = bytearray(_MAGIC + b"\x80\x68" + len(plain).to_bytes(4, "little"))
    for start in range(0, raw, _BLOCK):
        block = plain[start : min(start + _BLOCK, raw)]
        out += (len(block) << 3).to_bytes(3, "little") + block
    return bytes(out) + tail[zstandard.frame_header_size(tail) :]


def decompress(frame: bytes) -> bytes:
    """The content. Raises Bomb for a limit, MalformedBatch for anything that is not one plain frame."""
    if frame[:4] != _MAGIC:
        raise MalformedBatch("the payload is not a zstd frame")
    try:
        parameters = zstandard.get_frame_parameters(frame)
        size = parameters.content_size
        if size == zstandard.CONTENTSIZE_UNKNOWN or parameters.dict_id:
            raise MalformedBatch("the zstd frame must carry its content size and use no dictionary")
        if size > MAX_PLAIN or size > MAX_RATIO * len(frame) or parameters.window_size > MAX_WINDOW:
            raise Bomb(f"a frame of {len(frame)} bytes that unpacks to {size} with a window of {parameters.window_size}")
        plain = _PER_THREAD.decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedBatch(f"the payload is not one sound zstd frame: {error}") from error
    if len(plain) != size:
        raise MalformedBatch(f"the frame holds {len(plain)} bytes and claims {size}")
    return plain
