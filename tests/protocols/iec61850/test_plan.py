"""IEC 61850 addresses and quality words. Needs no native library."""

import pytest

from protocols import quality
from protocols.devicemap import DeviceMap, Tag, TagType
from protocols.iec61850.plan import Options, Point, decode_quality, encode_quality, parse_point, problems


@pytest.mark.parametrize(
    ("at", "point"),
    [
        ("MMXU1.TotW.mag.f[MX]", Point("MMXU1", "TotW", "mag.f", "MX")),
        ("MMXU1.PhV.phsA.cVal.mag.f[MX]", Point("MMXU1", "PhV.phsA", "cVal.mag.f", "MX")),
        ("XCBR1.Pos.stVal[ST]", Point("XCBR1", "Pos", "stVal", "ST")),
    ],
)
def test_an_address_is_split_into_node_object_and_attribute(at, point):
    assert parse_point(at) == point


@pytest.mark.parametrize("at", ["", "MMXU1.TotW.mag.f", "MMXU1.TotW[MX]", "MMXU1.mag.f[MX]", "MMXU1.TotW.mag.f[XX]"])
def test_other_texts_are_refused_with_an_example(at):
    with pytest.raises(ValueError, match="such as"):
        parse_point(at)


def test_problems_name_the_tag_and_the_reason():
    tags = (
        Tag("a", "MMXU1.TotW.mag.f[MX]", TagType.FLOAT32),
        Tag("b", "MMXU1.TotW.mag.f[MX]", TagType.FLOAT32),
        Tag("c", "XCBR1.OpCnt.stVal[ST]", TagType.UINT64),
        Tag("d", "nonsense", TagType.BOOL),
    )
    found = dict(problems(DeviceMap("m", "x", (), "iec61850", Options("I", "L"), tags)))
    assert found.keys() == {1, 2, 3}
    assert 'tag "a"' in found[1]


@pytest.mark.parametrize(
    ("word", "code"),
    [
        (0, quality.GOOD),
        (1, quality.BAD),
        (2, quality.BAD),
        (3, quality.UNCERTAIN),
        (2 | 0x40, quality.BAD_SENSOR_FAILURE),
        (2 | 0x80, quality.BAD_NO_COMMUNICATION),
        (3 | 0x80, quality.UNCERTAIN_LAST_USABLE),
        (3 | 0x08, quality.UNCERTAIN_UNITS_EXCEEDED),
        (0x400, quality.GOOD_LOCAL_OVERRIDE),
        (0x800, quality.UNCERTAIN),
        (0x1000, quality.UNCERTAIN),
    ],
    ids=[
        "good",
        "reserved",
        "invalid",
        "questionable",
        "failure",
        "old and invalid",
        "old",
        "out of range",
        "substituted",
        "test",
        "blocked",
    ],
)
def test_quality_words_become_status_codes(word, code):
    assert decode_quality(word) == code


@pytest.mark.parametrize("code", sorted(quality.NAMES))
def test_a_simulated_quality_never_changes_its_severity(code):
    assert quality.severity(decode_quality(encode_quality(code))) == quality.severity(code)
