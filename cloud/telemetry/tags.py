"""A tag table as the hub uses it: which tag a number means, and how raw columns become engineering values. Pure."""

from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocols.batch.columns import Group
from protocols.batch.errors import MalformedBatch
from protocols.devicemap import TagTable, TagType

_TYPES: Final = tuple(TagType)
_COLUMN: Final = np.array([kind.column.num for kind in _TYPES])


class TagMap:
    """One tag table beside the hub's tag ids. Positions are those in `entries`, sorted by the gateway's number."""

    def __init__(self, table: TagTable, tag_ids: dict[str, int]) -> None:
        self.entries = tuple(sorted(table.entries, key=lambda entry: entry.id))
        self.digest = table.digest
        self.numbers = np.array([entry.id for entry in self.entries], dtype=np.uint32)
        self.tag_ids = np.array([tag_ids[entry.name] for entry in self.entries], dtype=np.int64)
        self._position = {tag_id: position for position, tag_id in enumerate(self.tag_ids.tolist())}
        self._dense = bool(self.numbers.size and self.numbers[-1] == self.numbers.size - 1)
        types = np.array([_TYPES.index(entry.type) for entry in self.entries], dtype=np.int64)
        self._column = _COLUMN[types] if types.size else types
        self._unsigned32 = types == _TYPES.index(TagType.UINT32)
        self._unsigned64 = types == _TYPES.index(TagType.UINT64)
        inverses = [1 / entry.scale for entry in self.entries]
        exact = [inverse == inverse.to_integral_value() for inverse in inverses]
        self._divides = np.array(exact, dtype=bool)
        self._factor = np.array([float(i if e else entry.scale) for i, e, entry in zip(inverses, exact, self.entries, strict=True)])
        self._offset = np.array([float(entry.offset) for entry in self.entries])
        self._scaled = any(entry.scale != 1 or entry.offset != Decimal(0) for entry in self.entries)

    def position_of(self, tag_id: int) -> int | None:
        return self._position.get(tag_id)

    def positions(self, group: Group) -> NDArray[np.intp]:
        """Positions of a group's tags. Raises MalformedBatch for a number the table does not have or a column of another type."""
        tags = group.tags
        found = tags.astype(np.intp) if self._dense else np.searchsorted(self.numbers, tags)
        if found.size and (int(found.max()) >= self.numbers.size or not (self._dense or bool(np.all(self.numbers[found] == tags)))):
            raise MalformedBatch("a group has a tag that its tag table does not have")
        if not bool(np.all(self._column[found] == group.values.dtype.num)):
            raise MalformedBatch("a group carries a tag in another type than its tag table says")
        return found

    def engineering(self, positions: NDArray[np.intp], raw: NDArray[Any]) -> NDArray[np.float64]:
        """Raw columns (r, k) of these positions as engineering values: the same numbers as `devicemap.to_engineering`."""
        values: NDArray[np.float64] = raw.astype(np.float64)
        for unsigned, dtype, column in ((self._unsigned32, np.uint32, np.int32), (self._unsigned64, np.uint64, np.int64)):
            if raw.dtype == column and bool((chosen := unsigned[positions]).any()):
                values[:, chosen] = np.ascontiguousarray(raw[:, chosen]).view(dtype).astype(np.float64)
        if not self._scaled:
            return values
        factor, offset = self._factor[positions], self._offset[positions]
        scaled = np.where(self._divides[positions], values / factor, values * factor)
        shifted: NDArray[np.float64] = np.where(offset == 0, scaled, scaled + offset)
        return shifted
