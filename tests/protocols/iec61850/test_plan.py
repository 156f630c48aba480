"""IEC 61850 addresses and quality words. Needs no native library."""

from pathlib import Path

import pytest

from protocols import quality
from protocols.devicemap import DeviceMap, Tag, TagType, load_device_map
from protocols.iec61850.plan import (
    Look,
    Options,
    Point,
    Tls,
    decode_quality,
    encode_quality,
    parse_point,
    parse_settings,
    parse_text,
    problems,
)
from protocols.tomlfile import ConfigError, TomlFile


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


MAP = """
device_map = "m"
maker = "x"
models = ["y"]
[iec61850]
ied = "QZ"
ld = "LD0"
{options}
[[tags]]
name = "w"
at = "{at}"
type = "{kind}"
{tag}
"""


def mapped(tmp_path, options="", at="MMXU1.TotW.mag.f[MX]", kind="float32", tag=""):
    path = tmp_path / "m.toml"
    path.write_text(MAP.format(options=options, at=at, kind=kind, tag=tag))
    return load_device_map(path)


def test_reports_stand_for_themselves_or_in_a_list(tmp_path):
    assert mapped(tmp_path).options.reports == ("LLN0.BR.brcb01",)
    assert mapped(tmp_path, 'report = "LLN0.RP.urcb01"').options.reports == ("LLN0.RP.urcb01",)
    options = mapped(tmp_path, 'reports = ["LLN0.BR.brcb01", "LD7/LLN0.RP.urcb01"]').options
    assert [options.block(report) for report in options.reports] == ["QZLD0/LLN0.BR.brcb01", "QZLD7/LLN0.RP.urcb01"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": 'report = "LLN0.BR.a"\nreports = ["LLN0.BR.b"]'}, "say the same"),
        ({"options": 'reports = ["LLN0.BR.a", "LD0/LLN0.BR.a"]'}, "named twice"),
        ({"options": 'reports = ["brcb01"]'}, "expected a report control block such as"),
        ({"options": 'every = "1ms"'}, "at least 10ms"),
        ({"options": 'integrity = "1ms"'}, "at least 100ms"),
        ({"tag": 'every = "1ms"'}, "at least 10ms"),
        ({"kind": "uint64"}, "use int64"),
        ({"tag": 'quality_at = "MMXU1.TotW.q[MX]"'}, "leave out quality_at"),
    ],
)
def test_an_impossible_map_is_refused_with_a_sentence(tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        mapped(tmp_path, **given)


def test_a_tag_has_an_interval_of_its_own_only_where_it_says_so(tmp_path):
    assert mapped(tmp_path).tags[0].extra == Look(0)
    assert mapped(tmp_path, tag='every = "1s"').tags[0].extra == Look(1_000_000)


def test_the_scl_file_stands_beside_the_map(tmp_path):
    assert mapped(tmp_path, 'scl = "feeder.cid"').options.scl == tmp_path / "feeder.cid"


def settings_of(tmp_path, text):
    return parse_settings(TomlFile(tmp_path / "gateway.toml", text).root)


def test_files_of_tls_stand_beside_the_gateways_file(tmp_path):
    text = 'ca_file = "ca.crt"\ncertificate_file = "own.crt"\nkey_file = "/etc/own.key"'
    assert settings_of(tmp_path, text).tls == Tls(tmp_path / "ca.crt", tmp_path / "own.crt", Path("/etc/own.key"))
    assert settings_of(tmp_path, text + '\nserver_certificate_file = "peer.crt"').tls.server_certificate_file == tmp_path / "peer.crt"
    assert settings_of(tmp_path, text + '\ncrl_file = "old.crl"').tls.crl_file == tmp_path / "old.crl"
    assert settings_of(tmp_path, "").tls is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ca_file = "ca.crt"', '"certificate_file" is missing'),
        ('server_certificate_file = "peer.crt"', '"ca_file" is missing'),
        ('timeout = "1ms"', "at least 100ms"),
        ('originator = ""', "1 to 64 bytes"),
        ('address = "192.0.2.41"', "expected host:port such as"),
        ('address = "mms://192.0.2.41:102"', "expected host:port such as"),
    ],
)
def test_impossible_settings_are_refused_with_a_sentence(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        settings_of(tmp_path, text)


@pytest.mark.parametrize(
    ("at", "found"),
    [("LPHD1.PhyNam.serNum[DC]", ("", "LPHD1.PhyNam.serNum", "DC")), ("LD7/LLN0.NamPlt.vendor[DC]", ("LD7", "LLN0.NamPlt.vendor", "DC"))],
)
def test_an_address_of_a_text_is_split(at, found):
    assert parse_text(at) == found
    with pytest.raises(ValueError, match="such as"):
        parse_text(at.replace("[", ""))


def test_an_address_may_name_another_logical_device():
    assert parse_point("LD7/MMXU1.TotW.mag.f[MX]") == Point("MMXU1", "TotW", "mag.f", "MX", "LD7")
    assert Options("", "OWN_NAME").domain_of("7TH") == "7TH"
