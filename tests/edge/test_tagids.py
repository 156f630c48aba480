"""A device keeps the numbers of its tags, whatever comes and goes around it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import tagids
from protocols.devicemap import Device, DeviceMap, Tag, TagType


def device(name: str, tags: int) -> Device:
    made = tuple(Tag(f"t{number}", f"holding:{number}", TagType.INT16) for number in range(tags))
    return Device(name, DeviceMap("m", "Maker", ("M",), "modbus", None, made), "127.0.0.1:1")


def test_first_devices_are_numbered_one_after_the_other() -> None:
    placed = tagids.place([device("a", 3), device("b", 2)], {})
    assert [one.first_id for one in placed] == [0, 3]


def test_device_put_before_another_does_not_move_it() -> None:
    known = tagids.ranges(tagids.place([device("a", 3), device("b", 2)], {}), {})
    placed = tagids.place([device("new", 4), device("b", 2), device("a", 3)], known)
    assert {one.name: one.first_id for one in placed} == {"new": 5, "b": 3, "a": 0}


def test_removed_device_has_its_numbers_again_when_it_comes_back() -> None:
    known = tagids.ranges(tagids.place([device("a", 3), device("b", 2)], {}), {})
    known = tagids.ranges(tagids.place([device("b", 2), device("c", 1)], known), known)
    assert [one.first_id for one in tagids.place([device("a", 3), device("c", 1)], known)] == [0, 5]


def test_device_that_grew_gets_numbers_that_were_never_given() -> None:
    known = tagids.ranges(tagids.place([device("a", 3), device("b", 2)], {}), {})
    assert [one.first_id for one in tagids.place([device("a", 4), device("b", 2)], known)] == [5, 3]


def test_device_that_shrank_keeps_its_room(tmp_path: Path) -> None:
    known = tagids.ranges(tagids.place([device("a", 3), device("b", 2)], {}), {})
    known = tagids.ranges(tagids.place([device("a", 1), device("b", 2)], known), known)
    assert tagids.place([device("a", 3)], known)[0].first_id == 0


@given(st.lists(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 5), max_size=5), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_no_two_devices_ever_share_a_number_and_none_moves_unless_it_grew(history: list[dict[str, int]]) -> None:
    known: tagids.Ranges = {}
    owners: dict[int, str] = {}
    for wanted in history:
        before = dict(known)
        placed = tagids.place([device(name, tags) for name, tags in wanted.items()], known)
        known = tagids.ranges(placed, known)
        for one in placed:
            for number in one.ids.tolist():
                assert owners.setdefault(number, one.name) == one.name
            if one.name in before and len(one.map.tags) <= before[one.name][1]:
                assert one.first_id == before[one.name][0]


def test_numbers_survive_in_their_file(tmp_path: Path) -> None:
    known = {"a": (0, 3), "b": (3, 2)}
    tagids.save(tmp_path, known)
    assert tagids.read(tmp_path) == known


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', '{"a": [0, 3], "b": [2, 2]}', '{"a": [-1, 3]}', '{"a": [0, 99999999999]}'])
def test_file_that_makes_no_sense_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / tagids.NAME).write_text(text)
    assert tagids.read(tmp_path) == {}


def test_placing_a_placed_device_again_gives_the_same_object() -> None:
    one = replace(device("a", 3), first_id=7)
    assert tagids.place([one], {"a": (7, 3)})[0] is one
