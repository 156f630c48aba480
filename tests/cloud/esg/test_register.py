"""The inventory's text: the shipped example, every category, and what is refused with its line."""

from pathlib import Path
from typing import Any

import pytest

import cloud.esg
from cloud.esg.inventory import Category
from cloud.esg.readings import Reads, reading
from cloud.esg.register_file import parse_register
from cloud.esg.units import Unit
from edge.lint import UNITS
from protocols.devicemap import SHIPPED, load_device_map
from protocols.tomlfile import ConfigError, Section

EXAMPLES = sorted((Path(cloud.esg.__file__).parent / "examples").glob("*.toml"))
HEAD = """title = "t"
[[meter]]
name = "gas"
tag = "rig1/plc1.t0"
unit = "MMscf/d"
high = 50
u95 = 5
[[meter]]
name = "pilot"
tag = "rig1/plc1.t1"
reads = "level"
unit = "degC"
high = 1300
u95 = 1
[[meter]]
name = "power"
tag = "rig1/plc1.t2"
reads = "total"
unit = "MWh"
high = 100
u95 = 0.5
[[meter]]
name = "oil"
tag = "rig1/plc1.t3"
unit = "bbl/d"
high = 100000
u95 = 0.5
"""
SOURCE = '[[source]]\nid = "S"\nsite = "field"\nasset = "A"\nfrom = 2026-01-01\n'
GAS = "gas = { ch4 = 0.8, co2 = 0.03 }\n"
U95 = 'u95 = { "population factor" = 100 }\n'
RATE = '{ co2 = 1.0, reference = "r" }'
FLARE = SOURCE + (
    'category = "flare"\nflow = "gas"\npilot = "pilot"\nlit_above = 200\n'
    'composition = { CH4 = 0.9, CO2 = 0.1 }\nhhv_btu_scf = 1000.0\nnhv_btu_scf = 900.0\npurpose = "routine"\n'
)
EVERY = {
    "fuel by tier 1": 'category = "fuel"\nfuel = "natural_gas"\nflow = "gas"\n',
    "liquid fuel": 'category = "fuel"\nfuel = "distillate_2"\nper_day = 10.0\nunit = "gal"\n' + U95,
    "fuel by tier 3": 'category = "fuel"\nfuel = "natural_gas"\nflow = "gas"\ncarbon_kg_per_kg = 0.73\nmolecular_weight = 18.0\n',
    "stack": 'category = "fuel"\nfuel = "natural_gas"\nflow = "gas"\nco2_share = 0.1\n',
    "vent by meter": 'category = "vent"\nflow = "gas"\n' + GAS,
    "vents of the register": 'category = "vent"\n'
    + GAS
    + U95
    + '[[source.release]]\nat = 2026-02-01T10:00:00Z\nvolume = 5.0\nunit = "Mscf"\n'
    + "[[source.release]]\nat = 2026-02-01T11:00:00Z\nvessel_m3 = 40.0\nbefore = { c = 20.0, bar = 60.0 }\nafter = { c = 15.0, bar = 1.0 }\n",
    "pneumatics": 'category = "pneumatic"\ncounts = { low = 3 }\n' + GAS + U95,
    "fugitives by count": 'category = "fugitive"\ncounts = { "equipment.gas.wellhead" = 3 }\n' + GAS + U95,
    "leaks of a survey": 'category = "fugitive"\nmeasured = true\n'
    + GAS
    + U95
    + '[[source.leak]]\ncomponent = "v1"\nscf_h = 4.0\nfrom = 2026-01-02T00:00:00Z\n',
    "seals": 'category = "compressor seal"\n' + GAS + U95 + '[[source.mode]]\nname = "running"\nshare_of_day = 1.0\nvent_scf_h = 30.0\n',
    "tank": 'category = "tank"\nflow = "oil"\ngor_scf_per_bbl = 3.0\nrecovery = 0.95\nrecovery_uptime = 0.9\n' + GAS,
    "power": f'category = "purchased power"\nflow = "power"\ngrid = "us.camx"\nresidual = {RATE}\n',
    "sold": 'category = "sold products"\nfuel = "crude"\nper_day = 100.0\nunit = "bbl"\nused_per_day = 1.0\nused_unit = "bbl"\n' + U95,
    "freight": f'category = "freight"\nper_day = 100.0\nunit = "tkm"\nintensity = {RATE}\n' + U95,
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_shipped_inventories_are_read_and_their_tags_exist(path: Path) -> None:
    found = parse_register(path.read_text(), path)
    tags = {f"rig1/flare1.{tag.name}": tag.unit for tag in load_device_map(SHIPPED / "qenergyz_flare_modbus.toml").tags}
    assert {meter.tag: meter.reading.symbol for meter in found.meters.values()}.items() <= tags.items()
    assert found.sites == ("field",)


@pytest.mark.parametrize("name", EVERY)
def test_a_source_of_every_category_is_read(name: str) -> None:
    (found,) = parse_register(HEAD + SOURCE + EVERY[name]).sources
    assert found.every_input


def test_every_category_can_be_registered() -> None:
    texts = [*EVERY.values(), FLARE.removeprefix(SOURCE)]
    found = {parse_register(HEAD + SOURCE + text).sources[0].category for text in texts}
    assert found == set(Category) - {Category.POWER_MARKET}


def test_who_names_one_meter_shares_its_error() -> None:
    other = FLARE.replace('"S"', '"T"')
    one, two = parse_register(HEAD + FLARE + other).sources
    assert [each.name for each in one.every_input] == ["gas"]
    assert one.every_input == two.every_input


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEAD.replace('"MMscf/d"', '"MMscf"') + FLARE, r"inventory.toml:5: .*expected an amount per"),
        (HEAD.replace('"MMscf/d"', '"MMsfc/d"') + FLARE, r":5: .*MMsfc"),
        (HEAD.replace('"MMscf/d"', '"bbl/d"') + FLARE, r'"flow": expected a gas volume.* meter, "gas" reads bbl/d'),
        (HEAD + FLARE.replace('pilot = "pilot"', 'pilot = "gas"'), r'"pilot": expected a level'),
        (HEAD + FLARE.replace('flow = "gas"', 'flow = "gass"'), r'no meter is called "gass", did you mean "gas"'),
        (HEAD + FLARE.replace("CO2 = 0.1", "CO2 = 0.2"), r"expected a sum of 1"),
        (HEAD + FLARE + "efficency = 0.9\n", r'unknown key "efficency", did you mean "efficiency"'),
        (HEAD + FLARE + FLARE, r'"S" stands twice'),
        (HEAD + SOURCE + 'category = "pneumatic"\ncounts = { lo = 3 }\n' + GAS + U95, r'no factor is called "pneumatic.lo"'),
        (HEAD + SOURCE + 'category = "pneumatic"\ncounts = { low = 3 }\n' + GAS, r"expected at least one input"),
        (HEAD + SOURCE + 'category = "fuel"\nfuel = "coal"\nflow = "gas"\n', r'no factor is called "fuel.coal'),
        (HEAD + SOURCE + 'category = "tank"\nflow = "gas"\ngor_scf_per_bbl = 3.0\nrecovery = 0.9\nrecovery_uptime = 1.0\n' + GAS, "liquid"),
        (HEAD.replace("u95 = 5\n", "") + FLARE, r'"u95" is missing'),
        (HEAD + FLARE.replace("from = 2026-01-01", 'from = "soon"'), r"expected a date"),
        (HEAD + FLARE + '[caps]\n"X" = "ghg"\n', r'topic "ghg": has no weight'),
        (HEAD + FLARE + "[weights]\nghg_methane = 30\n", r"expected a sum of 100"),
        ('title = "t"\n', r"source"),
        (HEAD + FLARE.replace('"A"', '"A/B"'), r'without "/"'),
        (HEAD.replace("rig1/plc1.t0", "rig1\\u0000/plc1.t0") + FLARE, r'expected "gateway/device.tag"'),
        (HEAD + FLARE.replace("lit_above = 200", "lit_above = nan"), r"lit_above: expected a finite number"),
    ],
    ids=[
        "rate without time", "misspelt unit", "wrong dimension", "pilot that is a flow", "no such meter", "composition", "unknown key",
        "twice", "no such device", "no uncertainty", "no such fuel", "gas in a tank", "meter without uncertainty", "date", "cap", "weights",
        "nothing", "slash", "nul", "not a number",
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as error:
        parse_register(text)
    assert error.value.line > 0


@pytest.mark.parametrize(
    "unit",
    ["MMscf/d", "Mscf/d", "scf/d", "sm3/d", "sm3/h", "sm3/s", "ksm3/d", "Nm3/h", "bbl/d", "Mbbl/d", "kg/h", "t/d", "MW", "kW", "l/h"],
)
def test_units_that_device_maps_use_for_flows_are_read(unit: str) -> None:
    assert unit in UNITS
    assert reading(unit, Reads.RATE).factor > 0


def test_units_of_meters_are_read_as_what_they_are() -> None:
    rate = reading("MMscf/d", Reads.RATE)
    assert (rate.unit, rate.factor * 24) == (Unit.SCF, pytest.approx(1e6))
    assert (reading("MW", Reads.RATE).unit, reading("MWh", Reads.TOTAL).unit) == (Unit.MWH, Unit.MWH)


def test_the_reference_page_names_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(cloud.esg.__file__).parents[2] / "docs" / "reference" / "emissions.md").read_text()
    asked: set[str] = set()
    value = Section._value

    def note(section: Section, key: str, *others: Any) -> Any:
        if section.path.name in ("inventory.toml", *(path.name for path in EXAMPLES)):
            asked.add(key)
        return value(section, key, *others)

    monkeypatch.setattr(Section, "_value", note)
    for text in (*EVERY.values(), FLARE.removeprefix(SOURCE)):
        parse_register(HEAD + SOURCE + text)
    for path in EXAMPLES:
        parse_register(path.read_text(), path)
    free = {"meter", "source", "balance", "metric", "weights", "caps", "release", "leak", "mode", "certificate"}  # tables
    free |= {key for key in asked if key[0].isupper() or "." in key or " " in key or key in ("low", "intermittent")}  # names
    assert {key for key in asked - free if f"`{key}`" not in page} == set()
