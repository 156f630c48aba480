"""A step as a device shows it: raw values of the tags' types, and what they mean once read back.

A value that is missing, unusable or outside its type is shown as raw 0 under bad quality. Shared by the faces whose protocol
carries a quality beside each value.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import quality
from protocols.devicemap import Device, to_engineering, to_raw
from simulators.face import Step


@dataclass(frozen=True, slots=True)
class Served:
    """raw: numbers of the tags' own types, in their order; values: the same in engineering units; quality: uint32."""

    time_us: int
    raw: tuple[Any, ...]
    values: NDArray[np.float64]
    quality: NDArray[np.uint32]


def serve(device: Device, step: Step) -> Served:
    raw: list[Any] = []
    values = np.empty(len(device.map.tags), dtype=np.float64)
    codes = step.quality.astype(np.uint32)
    for index, tag in enumerate(device.map.tags):
        column = np.zeros(1, dtype=tag.type.column)
        if not quality.is_bad(int(codes[index])):
            try:
                if not np.isfinite(step.values[index]):
                    raise OverflowError(f"{tag.name} has no value")
                column = to_raw(step.values[index : index + 1], tag.type, tag.scale, tag.offset)
            except OverflowError:
                codes[index] = quality.BAD_OUT_OF_RANGE
        values[index] = to_engineering(column, tag.type, tag.scale, tag.offset)[0]
        native = column.view(tag.type.native) if column.itemsize == tag.type.native.itemsize else column
        raw.append(bool(native[0]) if tag.type == "bool" else native[0].item())
    return Served(step.time_us, tuple(raw), values, codes)
