"""A learned model as bytes: what is stored, hashed into evidence and loaded again. Equal models give equal bytes.

A zip of plain arrays (numpy's npz, never pickle) and nothing else. Reading trusts nothing: shapes agree, numbers are finite where they must
be, and every tree leads down, so that no file makes an answer run for ever. Not for signing or storing.
"""

import hashlib
import io
import zipfile
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cloud.assets import AssetError, numbers
from cloud.assets.conformal import Bands, Isotonic
from cloud.assets.detect import Detector, Reference
from cloud.assets.life import Model
from cloud.assets.trees import Forest

FORMAT: Final = 1
_FOREST: Final = {"root": np.int32, "column": np.int32, "threshold": np.float64, "left": np.int32, "right": np.int32, "value": np.float64}
_DETECTOR: Final = ("mean", "scale", "amount", "relation")

Arrays = dict[str, NDArray[Any]]


def encode(model: Model) -> bytes:
    arrays: Arrays = {
        "format": np.array(FORMAT),
        "cap": np.array(model.cap),
        "horizons": np.array(model.horizons),
        "moving": model.moving,
        "share": model.share,
        "bands.edges": model.bands.edges,
        "bands.reach": model.bands.reach,
        **_of_forest("life", model.life),
        **{f"envelope.{name}": getattr(model.envelope, name) for name in _DETECTOR},
        **_of_reference("envelope.t2", model.envelope.t2),
        **_of_reference("envelope.q", model.envelope.q),
    }
    for index, (forest, odds) in enumerate(model.chance):
        arrays |= {**_of_forest(f"chance{index}", forest), f"chance{index}.raw": odds.raw, f"chance{index}.share": odds.share}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)  # not compressed: bytes must not depend on a library's version
    return file.getvalue()


def digest(encoded: bytes) -> str:
    """The name of a model in evidence: SHA-256 in hexadecimal."""
    return hashlib.sha256(encoded).hexdigest()


def decode(encoded: bytes) -> Model:
    """Raises AssetError."""
    try:
        with np.load(io.BytesIO(encoded), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if int(arrays["format"]) != FORMAT:
            raise AssetError(f"model: expected format {FORMAT}, found {int(arrays['format'])}")
        return _model(arrays)
    except KeyError as missing:
        raise AssetError(f"model: expected the array {missing}, found none") from missing
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, IndexError, TypeError) as broken:
        raise AssetError(f"model: expected a file of arrays: {broken}") from broken
    except ValueError as broken:
        raise AssetError(f"model: {broken}") from broken


def _model(arrays: Arrays) -> Model:
    horizons = numbers("horizons", arrays["horizons"], low=1e-9)
    columns = 5 * int(np.sum(arrays["moving"])) + 1
    chance = tuple((_forest(arrays, f"chance{index}", columns), _isotonic(arrays, f"chance{index}")) for index in range(horizons.size))
    bands = Bands(numbers("edges", arrays["bands.edges"]), numbers("reach", arrays["bands.reach"], low=0.0, infinite=True))
    share = numbers("share", arrays["share"], low=0.0)
    if bands.reach.shape != (bands.edges.size + 1,) or share.shape != horizons.shape or arrays["moving"].dtype != np.bool_:
        raise AssetError("model: expected a reach for each bin and a share for each horizon")
    return Model(
        cap=float(numbers("cap", arrays["cap"], low=1e-9)),
        horizons=tuple(horizons.tolist()),
        moving=arrays["moving"],
        life=_forest(arrays, "life", columns),
        bands=bands,
        chance=chance,
        share=share,
        envelope=_detector(arrays, columns),
    )


def _of_forest(name: str, forest: Forest) -> Arrays:
    return {f"{name}.offset": np.array(forest.offset), **{f"{name}.{part}": getattr(forest, part) for part in _FOREST}}


def _forest(arrays: Arrays, name: str, columns: int) -> Forest:
    parts = {part: np.asarray(numbers(part, arrays[f"{name}.{part}"]), dtype=kind) for part, kind in _FOREST.items()}
    root, left, right = parts["root"], parts["left"], parts["right"]
    size, own = left.size, np.arange(left.size)
    down = ((left > own) & (right > own)) | ((left == own) & (right == own))
    if any(parts[part].shape != (size,) for part in _FOREST if part != "root") or root.ndim != 1 or not root.size:
        raise AssetError(f"{name}: expected arrays of one length, and a tree")
    if not down.all() or max(left.max(), right.max(), root.max()) >= size or root.min() < 0:
        raise AssetError(f"{name}: expected trees that lead down to their leaves")
    if parts["column"].min() < 0 or parts["column"].max() >= columns:
        raise AssetError(f"{name}: expected columns below {columns}, found {parts['column'].max()}")
    return Forest(offset=float(numbers("offset", arrays[f"{name}.offset"])), columns=columns, **parts)


def _isotonic(arrays: Arrays, name: str) -> Isotonic:
    raw, share = numbers("raw", arrays[f"{name}.raw"]), numbers("share", arrays[f"{name}.share"], low=0.0)
    if (
        raw.shape != share.shape
        or raw.ndim != 1
        or not raw.size
        or np.any(np.diff(raw) < 0)
        or np.any(np.diff(share) < 0)
        or share.max() >= 1
    ):
        raise AssetError(f"{name}: expected a rising map to chances below 1")
    return Isotonic(raw, share)


def _of_reference(name: str, reference: Reference) -> Arrays:
    roots = np.array([reference.root_mean, reference.root_deviation])
    return {f"{name}.held": reference.held, f"{name}.roots": roots}


def _detector(arrays: Arrays, columns: int) -> Detector:
    parts = {name: numbers(name, arrays[f"envelope.{name}"]) for name in _DETECTOR}
    square = (columns, columns)
    if any(parts[name].shape != shape for name, shape in zip(_DETECTOR, ((columns,), (columns,), square, square), strict=True)):
        raise AssetError(f"envelope: expected {columns} columns")
    if np.any(parts["scale"] <= 0):
        raise AssetError("envelope: expected scales above 0")
    return Detector(**parts, t2=_reference(arrays, "envelope.t2"), q=_reference(arrays, "envelope.q"))


def _reference(arrays: Arrays, name: str) -> Reference:
    held, (mean, deviation) = numbers(name, arrays[f"{name}.held"], low=0.0), numbers(name, arrays[f"{name}.roots"])
    if held.ndim != 1 or not held.size or np.any(np.diff(held) < 0) or deviation <= 0:
        raise AssetError(f"{name}: expected sorted statistics and a deviation above 0")
    return Reference(held, float(mean), float(deviation))
