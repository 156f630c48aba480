import io
from typing import Any

import numpy as np
import pytest

from cloud.assets import AssetError, artefact, life
from tests.cloud.assets.test_life import QUICK, fleet


@pytest.fixture(scope="module")
def model() -> life.Model:
    return life.fit(*fleet(1, 12), QUICK)


def rewritten(encoded: bytes, **changes: Any) -> bytes:
    """The same file with arrays replaced; a None takes one out."""
    with np.load(io.BytesIO(encoded)) as file:
        arrays = {name: file[name] for name in file.files}
    for name, change in changes.items():
        key = name.replace("__", ".")
        if change is None:
            del arrays[key]
        else:
            arrays[key] = change(arrays[key].copy())
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def put(index: int, value: float) -> Any:
    def change(array: np.ndarray) -> np.ndarray:
        array[index] = value
        return array

    return change


def test_model_answers_the_same_after_the_way_through_bytes(model: life.Model) -> None:
    units, values = fleet(2, 5)
    kept = artefact.decode(artefact.encode(model))
    one, other = (life.estimate(each, units, values) for each in (model, kept))
    for name in ("known", "point", "low", "high", "chances"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_equal_models_have_equal_bytes_and_others_do_not(model: life.Model) -> None:
    encoded = artefact.encode(model)
    assert artefact.encode(life.fit(*fleet(1, 12), QUICK)) == encoded
    assert artefact.encode(artefact.decode(encoded)) == encoded
    assert artefact.digest(encoded) != artefact.digest(artefact.encode(life.fit(*fleet(2, 12), QUICK)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"format": lambda _: np.array(9)}, "format 1, found 9", id="another format"),
        pytest.param({"life__left": None}, "life.left", id="an array missing"),
        pytest.param({"life__left": put(0, 0)}, "lead down", id="a tree that goes round in a circle"),
        pytest.param({"life__right": put(0, 10**6)}, "lead down", id="a child outside"),
        pytest.param({"life__column": put(0, 999)}, "columns below", id="a column outside"),
        pytest.param({"life__value": put(0, np.nan)}, "NaN", id="a leaf that is no number"),
        pytest.param({"chance1__share": put(-1, 1.0)}, "below 1", id="a certain chance"),
        pytest.param({"bands__reach": lambda array: array[:-1]}, "reach for each bin", id="a bin without reach"),
        pytest.param({"envelope__scale": put(0, 0.0)}, "above 0", id="a scale of nothing"),
        pytest.param({"envelope__mean": lambda array: array[:-1]}, "columns", id="an envelope of other columns"),
        pytest.param({"life__root": lambda array: np.array([object()])}, "model", id="an object"),
    ],
)
def test_file_that_is_no_model_is_refused(model: life.Model, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssetError, match=message):
        artefact.decode(rewritten(artefact.encode(model), **changes))


@pytest.mark.parametrize("broken", [b"", b"PK\x03\x04nothing", b"no zip at all"])
def test_bytes_that_are_no_file_are_refused(broken: bytes) -> None:
    with pytest.raises(AssetError, match="model"):
        artefact.decode(broken)


def test_cut_off_file_is_refused(model: life.Model) -> None:
    encoded = artefact.encode(model)
    for length in range(10, len(encoded), len(encoded) // 20):
        with pytest.raises(AssetError):
            artefact.decode(encoded[:length])
