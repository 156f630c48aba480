"""SCL files to device maps: what is read, what is refused with element and line, and what no file can do to us."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.importers.scl import import_scl
from protocols.devicemap import TagType, load_device_map
from protocols.iec61850.maptext import device_map_text, unit_of
from protocols.iec61850.plan import Options
from protocols.iec61850.scl import read_scl
from protocols.iec61850.sclmap import describe
from protocols.iec61850.scltypes import SclError

FILES = Path(__file__).parents[2] / "data" / "iec61850_scl"
FEEDER = (FILES / "feeder.cid").read_bytes()


def loaded(tmp_path, imported):
    path = tmp_path / f"{imported.name}.toml"
    path.write_text(imported.text, encoding="utf-8")
    return load_device_map(path)


def test_an_ied_becomes_a_map_that_loads(tmp_path):
    (imported,), left_out = import_scl(FILES / "feeder.cid")
    device_map = loaded(tmp_path, imported)
    assert (imported.ied, imported.address, left_out) == ("FEEDER1", "192.0.2.61:10102", ())
    assert device_map.options == Options("FEEDER1", "MEAS", reports=("LLN0.BR.brcb01", "LLN0.RP.urcb01"))
    tags = {tag.at: tag for tag in device_map.tags}
    assert (tags["MMXU1.TotW.mag.f[MX]"].unit, tags["MMXU1.TotW.mag.f[MX]"].vendor) == ("kW", "total active power")
    assert tags["MMXU1.PhV.phsA.cVal.mag.f[MX]"].unit == "V"
    assert tags["MMXU1.PhV.phsA.cVal.ang.f[MX]"].unit == "deg"
    assert tags["CTRL/PTOC1.StrVal.setMag.f[SP]"].unit == "A"
    assert tags["LLN0.Mod.stVal[ST]"].labels == {1: "on", 2: "blocked", 3: "test", 5: "off"}
    assert tags["CTRL/Q0CSWI1.Pos.stVal[ST]"].labels[2] == "on"
    counter = tags["MMTR1.TotWh.actVal[ST]"]
    assert (counter.type, counter.counter, counter.scale) == (TagType.INT64, True, Decimal(1))
    assert "LPHD1.PhyNam.serNum[DC]" in {text.at for text in device_map.texts}
    assert not any(tag.write for tag in device_map.tags)


def test_logical_devices_with_names_of_their_own_keep_them(tmp_path):
    (imported,), _ = import_scl(FILES / "std.xml")
    device_map = loaded(tmp_path, imported)
    assert device_map.options.domain == "VirtualSAMULDSUIED"
    assert [(tag.at, tag.unit) for tag in device_map.tags][-1] == ("LPAI1.ARtgHigh1.setMag.f[SP]", "mA")


def test_a_file_of_several_ieds_gives_one_map_each(tmp_path):
    path = FILES / "scd_create_dataset_and_controlblocks_success.xml"
    imported, _ = import_scl(path)
    assert [one.ied for one in imported] == ["IED_NAME1", "IED_NAME2", "IED_NAME3"]
    assert all(loaded(tmp_path, one).tags for one in imported)
    (second,), _ = import_scl(path, ied="IED_NAME2")
    assert second == imported[1]
    with pytest.raises(ValueError, match='no IED "IED_X"; there are IED_NAME1'):
        import_scl(path, ied="IED_X")


def test_an_address_is_told_even_where_there_is_nothing_to_read():
    assert read_scl((FILES / "std_with_full_filled_communication.xml").read_bytes()).ieds[0].address == "1.2.3.4:102"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("scd_get_cbs_test.xml", 'line 23: <FCDA>: "LD_INST12/" is not a logical node of this IED'),
        ("scd_with_dai_test.xml", 'line 53: <FCDA>: "LDSUIED/" is not a logical node of this IED'),
    ],
)
def test_a_fragment_of_others_is_refused_at_its_line_or_read_without_what_is_wrong(file, message):
    with pytest.raises(SclError, match=f"^{re.escape(message)}$"):
        import_scl(FILES / file)
    _, left_out = import_scl(FILES / file, strict=False)
    assert message in left_out


def test_arrays_are_left_out(tmp_path):
    path = tmp_path / "arrays.cid"
    path.write_bytes(
        FEEDER.replace(b'<SDO name="phsB"', b'<SDO name="phsB" count="3"').replace(b'name="mag" fc="MX"', b'name="mag" count="2" fc="MX"')
    )
    (imported,), left_out = import_scl(path)
    assert left_out == ()
    assert [tag.at for tag in loaded(tmp_path, imported).tags if "MMXU1" in tag.at] == [
        "MMXU1.PhV.phsA.cVal.mag.f[MX]",
        "MMXU1.PhV.phsA.cVal.ang.f[MX]",
    ]


VIOLATIONS = {
    "no lnClass": (b'<LN lnClass="MMTR" inst="1"', b'<LN inst="1"', "LN", 'the attribute "lnClass" is missing'),
    "dangling lnType": (b'inst="1" lnType="MMTR_T"', b'inst="1" lnType="NONE"', "LN", 'lnType="NONE" is not among'),
    "lnType of another class": (b'inst="1" lnType="MMTR_T"', b'inst="1" lnType="MMXU_T"', "LN", "is of class MMXU, not MMTR"),
    "unknown bType": (b'fc="ST" bType="INT64"', b'fc="ST" bType="INT65"', "DA", 'bType="INT65" is not a basic type'),
    "no bType": (b'fc="ST" bType="INT64" ', b'fc="ST" ', "DA", 'bType="" is not a basic type'),
    "duplicate inst": (b'<LDevice inst="CTRL"', b'<LDevice inst="MEAS"', "LDevice", '"MEAS" is there twice'),
    "duplicate node": (b'<LN lnClass="GGIO" inst="1"', b'<LN lnClass="PTOC" inst="1"', "LN", "is of class GGIO, not PTOC"),
    "unknown object": (b'doName="TotWh" fc="ST"', b'doName="TotVArh" fc="ST"', "FCDA", 'there is no "MEAS/MMTR1.TotVArh" with fc=ST'),
    "object without that constraint": (b'doName="TotWh" fc="ST"', b'doName="TotWh" fc="MX"', "FCDA", "with fc=MX"),
    "unknown node": (b'lnClass="MMTR" lnInst="1" doName', b'lnClass="MMTR" lnInst="2" doName', "FCDA", "is not a logical node"),
    "unknown device": (b'ldInst="MEAS" lnClass="MMTR"', b'ldInst="NONE" lnClass="MMTR"', "FCDA", "is not a logical device"),
    "unknown constraint": (b'doName="TotWh" fc="ST"', b'doName="TotWh" fc="YY"', "FCDA", 'fc="YY" is not a functional constraint'),
    "dangling data set": (b'datSet="measured"', b'datSet="nowhere"', "ReportControl", "is not a data set of this logical node"),
    "dangling type": (b'name="PhV" type="WYE_T"', b'name="PhV" type="NONE"', "DO", 'type="NONE" is not among'),
    "dangling struct": (b'type="Vector"', b'type="NONE"', "DA", 'type="NONE" is not among'),
    "dangling enumeration": (b'bType="Enum" type="Behaviour"', b'bType="Enum" type="NONE"', "DA", 'type="NONE" is not among'),
    "type within itself": (b'<SDO name="phsB" type="CMV_T"', b'<SDO name="phsB" type="WYE_T"', "SDO", "contains itself"),
    "no ord": (b'<EnumVal ord="5">off', b"<EnumVal>off", "EnumVal", 'the attribute "ord" is missing'),
    "ord is no number": (b'<EnumVal ord="5">off', b'<EnumVal ord="five">off', "EnumVal", "expected a whole number"),
    "duplicate type": (b'<DOType id="CMV_T"', b'<DOType id="MV_T"', "DOType", '"MV_T" is there twice'),
    "no name": (b'<IED name="FEEDER1"', b"<IED", "IED", 'the attribute "name" is missing'),
    "name that is none": (b'<IED name="FEEDER1"', b'<IED name="FEE DER"', "IED", "is not a name that the schema allows"),
    "no LN0": (b'<LN0 lnClass="LLN0" inst="" lnType="LLN0_T"/>', b"", "LDevice", '"CTRL" has no LN0'),
    "truth that is none": (
        b'datSet="states" buffered="false"',
        b'datSet="states" buffered="no"',
        "ReportControl",
        "expected true or false",
    ),
}


@pytest.mark.parametrize(("before", "after", "element", "message"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_of_the_schema_names_element_and_line(before, after, element, message):
    assert FEEDER.count(before) >= 1
    content = FEEDER.replace(before, after, 1)
    with pytest.raises(SclError) as caught:
        read_scl(content)
    assert (caught.value.element, message in caught.value.message) == (element, True), str(caught.value)
    assert f"<{element}".encode() in content.splitlines()[caught.value.line - 1]


@pytest.mark.parametrize(("before", "after", "element", "message"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_costs_only_itself_where_one_wants_the_rest(before, after, element, message):
    read = read_scl(FEEDER.replace(before, after, 1), strict=False)
    assert any(fault.element == element and message in fault.message for fault in read.faults)
    assert element == "IED" or read.ieds


HOSTILE = {
    "entities that grow": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><SCL xmlns="http://www.iec.ch/61850/2003/SCL">&b;</SCL>',
    "a file from outside": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><SCL xmlns="http://www.iec.ch/61850/2003/SCL">&e;</SCL>',
    "a DTD from outside": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><SCL xmlns="http://www.iec.ch/61850/2003/SCL"/>',
    "an undeclared entity": b'<SCL xmlns="http://www.iec.ch/61850/2003/SCL">&e;</SCL>',
    "too deep": b'<SCL xmlns="http://www.iec.ch/61850/2003/SCL">' + b"<a>" * 100_000,
    "another root": b"<svg/>",
    "another name space": b'<SCL xmlns="urn:other"/>',
    "no name space": b"<SCL/>",
    "nothing": b"",
    "not XML": b"\x00\x01\x02",
    "another encoding": b'<?xml version="1.0" encoding="utf-7"?><SCL/>',
    "cut in the middle": FEEDER[: len(FEEDER) // 2],
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("strict", [True, False])
def test_hostile_files_are_refused_with_a_line(content, strict):
    with pytest.raises(SclError, match=r"^line \d+: <SCL>: "):
        read_scl(content, strict=strict)


def test_types_that_multiply_are_refused_before_they_do():
    levels = "".join(
        f'<DOType id="T{level}">' + "".join(f'<SDO name="s{number}" type="T{level + 1}"/>' for number in range(20)) + "</DOType>"
        for level in range(12)
    )
    content = (
        '<SCL xmlns="http://www.iec.ch/61850/2003/SCL"><IED name="A"><AccessPoint name="S"><Server><LDevice inst="L">'
        '<LN0 lnClass="LLN0" inst="" lnType="N"><DataSet name="d"><FCDA lnClass="LLN0" doName="A" fc="ST"/></DataSet></LN0></LDevice></Server>'
        f'</AccessPoint></IED><DataTypeTemplates><LNodeType id="N" lnClass="LLN0"><DO name="A" type="T0"/></LNodeType>{levels}'
        '<DOType id="T12"><DA name="stVal" bType="BOOLEAN" fc="ST"/></DOType></DataTypeTemplates></SCL>'
    )
    with pytest.raises(SclError, match="more than 200000"):
        read_scl(content.encode())


PIECES = re.findall(rb'"[^"]*"|<[/A-Za-z0-9]+|>', FEEDER)
MUTATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("swap"), st.integers(0, len(PIECES) - 1), st.integers(0, len(PIECES) - 1)),
        st.tuples(st.just("cut"), st.integers(0, len(FEEDER)), st.integers(0, 200)),
        st.tuples(st.just("byte"), st.integers(0, len(FEEDER) - 1), st.integers(0, 255)),
        st.tuples(st.just("repeat"), st.integers(0, len(FEEDER)), st.integers(1, 400)),
    ),
    min_size=1,
    max_size=4,
)


def mutated(mutations):
    content = FEEDER
    for kind, first, second in mutations:
        if kind == "swap":
            content = content.replace(PIECES[first], PIECES[second], 1)
        elif kind == "cut":
            content = content[:first] + content[first + second :]
        elif kind == "byte":
            content = content[:first] + bytes([second]) + content[first + 1 :]
        else:
            content = content[:first] + content[first : first + second] + content[first:]
    return content


@given(MUTATIONS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_mutated_file_gives_maps_or_a_plain_error(tmp_path_factory, mutations, strict):
    try:
        ieds = read_scl(mutated(mutations), strict=strict).ieds
    except SclError as error:
        assert re.match(r"line \d+: <\w+>: ", str(error))
        return
    folder = tmp_path_factory.getbasetemp()
    for ied in ieds:
        try:
            text = device_map_text("mutated", describe(ied), "test")
        except ValueError as error:
            assert "no value that can be carried" in str(error)
            continue
        assert tomllib.loads(text)["tags"]
        (folder / "mutated.toml").write_text(text, encoding="utf-8")
        assert load_device_map(folder / "mutated.toml").tags


@pytest.mark.parametrize(
    ("multiplier", "unit", "text"),
    [
        ("k", "W", "kW"),
        ("3", "38", "kW"),
        ("", "°C", "degC"),
        ("0", "23", "degC"),
        ("-3", "5", "mA"),
        ("M", "VAr", "Mvar"),
        ("k", "", ""),
        ("?", "V", "V"),
    ],
)
def test_units_come_from_names_or_numbers(multiplier, unit, text):
    assert unit_of(multiplier, unit) == text
