"""protocols/batch/evidence.py: a row has one document, and a document is one row."""

import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.batch import cbor, evidence
from protocols.batch.errors import MalformedBatch, TooLarge
from protocols.batch.evidence import BatchRef, Inputs, Row

ROW = Row(
    "health",
    "rig1",
    1_700_000_000_000_000,
    Inputs(
        rows={"model": bytes(32)},
        contents={"state": b"\x01" * 32},
        batches=(BatchRef("urn:qz:gw:rig1", "live", 1, 17, b"\x02" * 32),),
        window=(-5, 7),
        tags=("rig1/well1.pressure",),
    ),
    {"learn": 600, "alpha": 0.1},
    7,
    {"qenergyz": "0.1.0"},
    {"index": 0.75, "state": "WARNING"},
)
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "wire-format.md").read_text()
MEMBERS = cbor.decode_strict(evidence.encode(ROW))


def test_a_row_comes_back_as_it_was_and_has_the_same_digest() -> None:
    document = evidence.encode(ROW)
    assert evidence.decode(document) == ROW
    assert evidence.digest(document) == evidence.digest(evidence.encode(evidence.decode(document)))
    assert ROW.inputs.batches[0].name == "rig1 live/1/17"


def test_the_example_of_the_page_is_what_is_written_and_read() -> None:
    document = evidence.encode(Row("health", "rig1", 5, Inputs(), {}, 7, {}, {"index": 0.5}))
    assert f"`{document.hex()}`" in PAGE
    assert f"`{evidence.digest(document).hex()}`" in PAGE
    assert evidence.decode(document).output == {"index": 0.5}


def test_inputs_that_were_not_narrowed_come_back_without_window_and_tags() -> None:
    row = replace(ROW, inputs=Inputs())
    assert evidence.decode(evidence.encode(row)) == row
    assert cbor.decode_strict(evidence.encode(row))["inputs"] == {"rows": {}, "contents": {}, "batches": []}


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=4), plain, max_size=3), st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_every_row_that_can_be_written_is_read_back(output: dict[str, Any], seed: int, as_of_us: int) -> None:
    row = replace(ROW, output=output, parameters=output, seed=seed, as_of_us=as_of_us)
    assert evidence.decode(evidence.encode(row)) == row


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "uint32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(0,), (6,), (2, 3), (1, 2, 3), (2, 0)])
def test_arrays_keep_their_shape_and_bits(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    row = evidence.decode(evidence.encode(replace(ROW, output={"values": values, "nested": [{"again": values}]})))
    for found in (evidence.array(row.output["values"]), evidence.array(row.output["nested"][0]["again"])):
        assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, values.shape, values.tobytes())
    assert evidence.encode(row) == evidence.encode(replace(ROW, output={"values": values, "nested": [{"again": values}]}))


def test_numpy_numbers_and_transposed_arrays_are_written_as_what_they_are() -> None:
    table = np.arange(6.0).reshape(2, 3).T
    row = evidence.decode(
        evidence.encode(replace(ROW, output={"table": table, "n": np.int64(3), "x": np.float32(0.5), "all": np.bool_(True)}))
    )
    assert evidence.array(row.output["table"]).tolist() == table.tolist()
    assert (row.output["n"], row.output["x"], row.output["all"]) == (3, 0.5, True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"output": {"var": {"joint": math.nan}}}, r"health rig1: output\.var\.joint is not a number", id="NaN"),
        pytest.param({"output": {"q": np.array([1, math.nan])}}, "output.q has 1 values", id="NaN in an array"),
        pytest.param({"output": {"price": Decimal(1)}}, r"output\.price: a document holds no Decimal", id="Decimal"),
        pytest.param({"parameters": {"list": [1, {2: 3}]}}, r"parameters\.list\[1\]: the keys of a map are text", id="number as key"),
        pytest.param({"output": {"flags": np.array([True])}}, "no arrays of bool", id="array of flags"),
        pytest.param({"output": {"n": 1 << 64}}, "64 bits", id="number too large"),
        pytest.param({"kind": ""}, "names kind and subject", id="no kind"),
        pytest.param({"seed": -1}, "seed from 0", id="negative seed"),
        pytest.param({"as_of_us": 1.5}, "as_of_us", id="time as a fraction"),
        pytest.param({"code": {"qenergyz": 1}}, "code", id="code as a number"),
        pytest.param({"inputs": Inputs(rows={"x": b"short"})}, "'x': expected a name and 32 bytes", id="short digest"),
        pytest.param({"inputs": Inputs(window=(5, 5))}, "from before to", id="empty window"),
        pytest.param({"inputs": Inputs(tags=("a", "a"))}, "different names", id="tag twice"),
        pytest.param({"inputs": Inputs(batches=(BatchRef("g", "live", 1, 0, bytes(32)),))}, "number from 1", id="batch number 0"),
        pytest.param({"inputs": Inputs(batches=ROW.inputs.batches * 2)}, "a batch twice", id="batch twice"),
    ],
)
def test_a_row_that_cannot_be_written_is_refused_with_the_member_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        evidence.encode(replace(ROW, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"more": 1}, id="a member too many"),
        pytest.param({"kind": b"health"}, id="kind as bytes"),
        pytest.param({"as_of_us": True}, id="flag as time"),
        pytest.param({"seed": None}, id="no seed"),
        pytest.param({"output": []}, id="output as list"),
        pytest.param({"output": {"x": math.nan}}, id="NaN"),
        pytest.param({"output": {"x": cbor.Tag(40, [[2, 2], cbor.typed_tag(np.zeros(3))])}}, id="array of another size"),
        pytest.param({"output": {"x": cbor.Tag(1, 5)}}, id="foreign tag"),
        pytest.param({"code": {1: "x"}}, id="number as key of code"),
        pytest.param({"inputs": {"rows": {}, "contents": {}}}, id="no batches"),
        pytest.param({"inputs": {"rows": {}, "contents": {}, "batches": [], "more": 1}}, id="an input too many"),
        pytest.param({"inputs": {"rows": {}, "contents": {}, "batches": [["g", "live", 1, 1]]}}, id="batch without entry"),
        pytest.param({"inputs": {"rows": {}, "contents": {}, "batches": [], "window": None}}, id="window that says nothing"),
        pytest.param({"inputs": {"rows": {}, "contents": {}, "batches": [], "tags": "a"}}, id="tags as text"),
    ],
)
def test_a_document_of_another_form_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedBatch):
        evidence.decode(cbor.encode({**MEMBERS, **changes}))


def test_a_document_with_a_member_missing_or_bytes_too_many_is_malformed() -> None:
    for member in MEMBERS:
        with pytest.raises(MalformedBatch):
            evidence.decode(cbor.encode({key: value for key, value in MEMBERS.items() if key != member}))
    with pytest.raises(MalformedBatch):
        evidence.decode(evidence.encode(ROW) + b"\0")
    with pytest.raises(MalformedBatch):
        evidence.decode(cbor.encode([1]))


def test_a_document_beyond_the_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MAX_DOCUMENT", 100)
    with pytest.raises(TooLarge):
        evidence.decode(bytes(101))
