"""Which OPC UA nodes show the tags of a device map: one per tag, or one array for all tags that are its elements. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocols.devicemap import Device
from protocols.opcua.address import Address, parse
from simulators.served import Served


@dataclass(frozen=True, slots=True)
class Place:
    """A node. tags: numbers of the tags that it shows, at `elements` of an array of `size`; size 0 = one plain value."""

    address: Address
    tags: tuple[int, ...]
    elements: tuple[int, ...] = ()
    size: int = 0

    def value(self, raw: Sequence[Any]) -> Any:
        """What the node shows; elements that no tag asks for are 0."""
        if not self.size:
            return raw[self.tags[0]]
        values = [type(raw[self.tags[0]])(0)] * self.size
        for tag, element in zip(self.tags, self.elements, strict=True):
            values[element] = raw[tag]
        return values


def places(device: Device) -> tuple[Place, ...]:
    """In the order of the map. Raises ValueError for what cannot be served."""
    whole: dict[Any, Place] = {}
    for index, tag in enumerate(device.map.tags):
        address = parse(tag.at, device.name)
        if not address.path:
            whole[index] = Place(address, (index,))
            continue
        step = address.path[0]
        if len(address.path) > 1 or isinstance(step, str) or len(step) > 1:
            raise ValueError(f'device "{device.name}", tag "{tag.name}": the simulated server has no structures and matrices ("{tag.at}")')
        before = whole.get(address.node, Place(Address(address.identifier, address.namespace), ()))
        if before.tags and device.map.tags[before.tags[0]].type is not tag.type:
            raise ValueError(f'device "{device.name}", tag "{tag.name}": elements of one array are of one type')
        elements = (*before.elements, step[0])
        whole[address.node] = replace(before, tags=(*before.tags, index), elements=elements, size=max(elements) + 1)
    return tuple(whole.values())


def join_status(served: Served, shown: Sequence[Place]) -> Served:
    """An array has one status: the worst of its elements."""
    arrays = [list(place.tags) for place in shown if len(place.tags) > 1]
    if not arrays:
        return served
    codes = served.quality.copy()
    for tags in arrays:
        codes[tags] = codes[tags].max()
    return replace(served, quality=codes)
