"""Addresses of OPC UA values: what may be written, and that what is written is read back."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.opcua.address import Address, parse, written

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(
    lambda text: text == text.strip() and "{device}" not in text
)
IDENTIFIERS = st.one_of(TEXT, st.integers(0, 2**32 - 1), st.uuids(), st.binary(min_size=1, max_size=12))


@settings(max_examples=150, deadline=None)
@given(IDENTIFIERS, st.just("") | TEXT)
def test_every_node_can_be_written_and_is_read_back(identifier, namespace):
    assert parse(written(identifier, namespace)) == Address(identifier, namespace)


@pytest.mark.parametrize(
    ("at", "address"),
    [
        ("s=Well1.Pressure", Address("Well1.Pressure")),
        ('s="DB_1"."array"[3]', Address('"DB_1"."array"[3]')),
        ("i=2001", Address(2001)),
        ("g=0f8fad5b-d9cb-469f-a165-70867728950e", Address(uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e"))),
        ("b=AQI=", Address(b"\x01\x02")),
        ("nsu=http://maker/ns#2;s=a", Address("a", "http://maker/ns#2")),
        ("nsu=urn:a%3Bb;i=1", Address(1, "urn:a;b")),
        ("s=Temps#[3]", Address("Temps", path=((3,),))),
        ("s=Matrix#[1,2]", Address("Matrix", path=((1, 2),))),
        ("s=Motor.Status#speed", Address("Motor.Status", path=("speed",))),
        ("s=Motor#axes[2].angle", Address("Motor", path=("axes", (2,), "angle"))),
        ("s=a##b#c", Address("a#b", path=("c",))),
        ("s={device}.P", Address("well7.P")),
    ],
)
def test_addresses_mean_what_the_description_says(at, address):
    assert parse(at, "well7") == address


@pytest.mark.parametrize(
    "at",
    [
        "",
        "s=",
        "s= a",
        "x=1",
        "ns=2;s=a",
        "i=-1",
        "i=4294967296",
        "i=x",
        "g=1",
        "b=?",
        "nsu=;s=a",
        "nsu=urn:x",
        "s=a#",
        "s=a#[x]",
        "s=a#[1",
        "s=a#b c#d",
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(at):
    with pytest.raises(ValueError, match=r"expected|GUID|base64"):
        parse(at)
