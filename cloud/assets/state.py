"""All that health carries from one call to the next for the assets of a site, and its one form as bytes.

Equal states give equal bytes (deterministic CBOR, little-endian typed arrays), so a state can be named by its digest in evidence.
Not for the rules that move it (`assess`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, Bools, Floats
from cloud.assets.features import Features
from cloud.assets.hazard import WienerBelief
from cloud.assets.health import AssetState
from cloud.assets.trust import TagState
from protocols.batch import cbor
from protocols.batch.errors import MalformedBatch

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest sample of each tag, arrays (assets, roles); times_us 0: none. A value that is no number stands as 0 with bad quality."""

    times_us: NDArray[np.int64]
    values: Floats
    quality: NDArray[np.uint32]

    @classmethod
    def none(cls, assets: int, roles: int) -> "Newest":
        shape = (assets, roles)
        return cls(np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape, np.uint32))

    def where(self, chosen: Bools, other: "Newest") -> "Newest":
        """This where chosen, the other elsewhere."""
        times = np.where(chosen, self.times_us, other.times_us)
        return Newest(times, np.where(chosen, self.values, other.values), np.where(chosen, self.quality, other.quality))

    def under(self, newer: "Newest") -> "Newest":
        """The newer one where it has a sample."""
        return newer.where(newer.times_us > 0, self)

    def of(self, roles: Sequence[int]) -> "Newest":
        """Those columns."""
        at = list(roles)
        return Newest(self.times_us[:, at], self.values[:, at], self.quality[:, at])

    def beside(self, more: Sequence["Newest"]) -> "Newest":
        """With the columns of others after its own."""
        every = [self, *more]
        times = np.concatenate([one.times_us for one in every], axis=1)
        return Newest(times, np.concatenate([one.values for one in every], axis=1), np.concatenate([one.quality for one in every], axis=1))


@dataclass(frozen=True, slots=True)
class WearState:
    """belief: of each asset's degradation per day. anchor: level and time at the end of the last hour that counted; last: of the last
    tick in which the asset was evaluated; times 0: none. All (assets,)."""

    belief: WienerBelief
    anchor: Floats
    anchor_us: NDArray[np.int64]
    last: Floats
    last_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClassState:
    """columns: names of what is judged, in order. seen: newest samples of closed ticks; open: those of each asset's latest tick, which
    more samples may still reach."""

    assets: tuple[str, ...]
    roles: tuple[str, ...]
    columns: tuple[str, ...]
    health: AssetState
    seen: Newest
    open: Newest
    wear: WearState


@dataclass(frozen=True, slots=True)
class SiteState:
    """classes: by the name of the class, those with assets on the site."""

    site: str
    classes: Mapping[str, ClassState]

    def to_bytes(self) -> bytes:
        classes = {
            name: {
                "assets": list(state.assets),
                "roles": list(state.roles),
                "columns": list(state.columns),
                "arrays": {path: _tag(array) for path, array in _arrays(state, "")},
            }
            for name, state in self.classes.items()
        }
        return cbor.encode({"version": VERSION, "site": self.site, "classes": classes})

    @classmethod
    def from_bytes(cls, data: bytes) -> "SiteState":
        """Raises AssetError for bytes that `to_bytes` did not make."""
        try:
            match cbor.decode_strict(data):
                case {"version": 1, "site": str(site), "classes": dict(classes), **rest} if not rest:
                    return cls(site, {str(name): _class(found) for name, found in classes.items()})
        except MalformedBatch as error:
            raise AssetError(f"state of a site: {error}") from error
        raise AssetError(f"state of a site: expected version {VERSION} with site and classes")


def _tag(array: NDArray[Any]) -> cbor.Tag:
    return cbor.typed_tag(array.astype(np.uint32) if array.dtype == np.bool_ else array)


def _arrays(state: Any, path: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for field in fields(state):
        value, name = getattr(state, field.name), f"{path}{field.name}"
        if is_dataclass(value):
            yield from _arrays(value, f"{name}.")
        elif isinstance(value, np.ndarray):
            yield name, value


_Made = TypeVar("_Made", TagState, Features, WienerBelief, Newest)
_TYPES: Final[Mapping[str, type[np.generic]]] = {
    **dict.fromkeys(
        ("health.tags.last_us", "health.tags.good_us", "wear.anchor_us", "wear.last_us", "seen.times_us", "open.times_us"), np.int64
    ),
    **dict.fromkeys(("seen.quality", "open.quality", "health.tags.taken"), np.uint32),
    "health.tags.still": np.int32,
}


def _class(found: object) -> ClassState:
    match found:
        case {"assets": list(assets), "roles": list(roles), "columns": list(columns), "arrays": dict(arrays)}:
            left = dict(arrays)
        case _:
            raise AssetError("state of a site: a class has assets, roles, columns and arrays")
    own, by_name, judged = (tuple(map(str, listed)) for listed in (assets, roles, columns))
    count, by_role, by_column = len(assets), (len(assets), len(roles)), (len(assets), len(columns))

    def take(path: str, shape: tuple[int, ...]) -> NDArray[Any]:
        array = cbor.typed_array(left.pop(path)) if path in left else np.empty(0)
        if array.dtype != np.dtype(_TYPES.get(path, np.float64)) or array.size != np.prod(shape):
            raise AssetError(f"state of a site: array {path} is missing or of another type or size")
        if array.dtype == np.float64 and not np.isfinite(array).all():
            raise AssetError(f"state of a site: array {path} has a value that is no number")
        return array.reshape(shape).astype(np.bool_) if path == "health.tags.taken" else array.reshape(shape)

    def made(kind: type[_Made], path: str, shape: tuple[int, ...]) -> _Made:
        return kind(*(take(f"{path}.{field.name}", shape) for field in fields(kind)))

    health = AssetState(
        made(TagState, "health.tags", by_column), made(Features, "health.features", by_column), take("health.evidence", (count,))
    )
    belief = made(WienerBelief, "wear.belief", (count,))
    wear = WearState(belief, *(take(f"wear.{name}", (count,)) for name in ("anchor", "anchor_us", "last", "last_us")))
    state = ClassState(own, by_name, judged, health, made(Newest, "seen", by_role), made(Newest, "open", by_role), wear)
    if left:
        raise AssetError(f'state of a site: unknown array "{next(iter(left))}"')
    return state
