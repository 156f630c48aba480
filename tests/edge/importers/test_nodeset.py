"""Nodesets to device maps: what is instance and what is type, units, labels, members; what violates the form is named with its line."""

from pathlib import Path

import pytest

from edge.importers.nodeset import NodesetError, import_nodeset
from protocols.clock import SystemClock
from protocols.devicemap import TagType, load_device_map
from protocols.opcua.browse import browse_device
from protocols.opcua.endpoints import Peer
from protocols.opcua.maptext import BUILTIN, device_map_text
from protocols.opcua.plan import Settings
from simulators.opcua_nodesets import NodesetServer

FOLDER = Path(__file__).parents[2] / "data" / "opcua_nodesets"
NODESET = """<?xml version="1.0" encoding="utf-8"?>
<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd" xmlns:uax="http://opcfoundation.org/UA/2008/02/Types.xsd">
  <NamespaceUris><Uri>urn:pump</Uri></NamespaceUris>
  <Aliases><Alias Alias="Double">i=11</Alias><Alias Alias="HasComponent">i=47</Alias><Alias Alias="HasSubtype">i=45</Alias></Aliases>
  <UADataType NodeId="ns=1;i=10" BrowseName="1:Mode">
    <References><Reference ReferenceType="HasSubtype" IsForward="false">i=29</Reference></References>
    <Definition Name="1:Mode"><Field Name="Off" Value="0"/><Field Name="Auto" Value="2"/></Definition>
  </UADataType>
  <UADataType NodeId="ns=1;i=11" BrowseName="1:Axis">
    <References><Reference ReferenceType="HasSubtype" IsForward="false">i=22</Reference></References>
    <Definition Name="1:Axis"><Field Name="Angle" DataType="i=10"/><Field Name="Name" DataType="i=12"/></Definition>
  </UADataType>
  <UADataType NodeId="ns=1;i=12" BrowseName="1:Pose">
    <References><Reference ReferenceType="HasSubtype" IsForward="false">i=22</Reference></References>
    <Definition Name="1:Pose"><Field Name="X" DataType="Double"/><Field Name="Tilt" DataType="ns=1;i=11"/></Definition>
  </UADataType>
  <UAObjectType NodeId="ns=1;i=20" BrowseName="1:PumpType"/>
  <UAVariable NodeId="ns=1;i=21" BrowseName="1:Declared" ParentNodeId="ns=1;i=20" DataType="Double"/>
  <UAObject NodeId="ns=1;s=Pump" BrowseName="1:Pump" ParentNodeId="i=85">
    <References><Reference ReferenceType="HasComponent">ns=1;s=Pump.Linked</Reference></References>
  </UAObject>
  <UAVariable NodeId="ns=1;s=Pump.P#1" BrowseName="1:Pressure" ParentNodeId="ns=1;s=Pump" DataType="Double"/>
  <UAVariable NodeId="ns=1;i=31" BrowseName="EngineeringUnits" ParentNodeId="ns=1;s=Pump.P#1" DataType="i=887">
    <Value><uax:ExtensionObject><uax:Body><uax:EUInformation><uax:DisplayName><uax:Text>°C</uax:Text></uax:DisplayName></uax:EUInformation></uax:Body></uax:ExtensionObject></Value>
  </UAVariable>
  <UAVariable NodeId="ns=1;i=32" BrowseName="EURange" ParentNodeId="ns=1;s=Pump.P#1" DataType="i=884">
    <Value><uax:ExtensionObject><uax:Body><uax:Range><uax:Low>-10</uax:Low><uax:High>2.5</uax:High></uax:Range></uax:Body></uax:ExtensionObject></Value>
  </UAVariable>
  <UAVariable NodeId="ns=1;s=Pump.Mode" BrowseName="1:Mode" ParentNodeId="ns=1;s=Pump" DataType="ns=1;i=10"/>
  <UAVariable NodeId="ns=1;s=Pump.Pose" BrowseName="1:Pose" ParentNodeId="ns=1;s=Pump" DataType="ns=1;i=12"/>
  <UAVariable NodeId="ns=1;s=Pump.Three" BrowseName="1:Three" ParentNodeId="ns=1;s=Pump" DataType="Int16" ValueRank="1" ArrayDimensions="3"/>
  <UAVariable NodeId="ns=1;s=Pump.Many" BrowseName="1:Many" ParentNodeId="ns=1;s=Pump" DataType="Int16" ValueRank="1" ArrayDimensions="0"/>
  <UAVariable NodeId="ns=1;s=Pump.Linked" BrowseName="1:Linked" DataType="i=290"/>
  <UAVariable NodeId="ns=1;s=Pump.Serial" BrowseName="1:Serial" ParentNodeId="ns=1;s=Pump" DataType="String"/>
</UANodeSet>
"""


def shipped(*names):
    return [FOLDER / f"Opc.{name}.NodeSet2.xml.gz" for name in names]


def loaded(folder, text):
    (folder / "made.toml").write_text(text, encoding="utf-8")
    return load_device_map(folder / "made.toml")


def imported(folder, xml):
    (folder / "pump.xml").write_text(xml, encoding="utf-8")
    return import_nodeset([folder / "pump.xml"], "made")


def test_instances_become_tags_with_type_unit_range_labels_and_members(tmp_path):
    text = imported(tmp_path, NODESET)
    made = loaded(tmp_path, text)
    assert made.options.namespace == "urn:pump"
    assert {tag.name: (tag.at, tag.type.value) for tag in made.tags} == {
        "pump_pressure": ("s=Pump.P##1", "float64"),
        "pump_mode": ("s=Pump.Mode", "int32"),
        "pose_x": ("s=Pump.Pose#X", "float64"),
        "tilt_angle": ("s=Pump.Pose#Tilt.Angle", "float32"),
        "three_0": ("s=Pump.Three#[0]", "int16"),
        "three_1": ("s=Pump.Three#[1]", "int16"),
        "three_2": ("s=Pump.Three#[2]", "int16"),
        "pump_linked": ("s=Pump.Linked", "float64"),
    }
    pressure, mode = made.tags[0], made.tags[1]
    assert (pressure.unit, pressure.range, mode.labels) == ("degC", (-10.0, 2.5), {0: "Off", 2: "Auto"})
    assert [(one.name, one.at) for one in made.texts] == [("pump_serial", "s=Pump.Serial")]
    assert "# left out: Pump/Many (not a number, array)" in text
    assert "Declared" not in text


async def test_what_is_imported_is_what_browsing_the_same_nodesets_finds(tmp_path):
    files = shipped("Ua.Machinery.Examples", "Ua.Machinery", "Ua.Di")
    made = loaded(tmp_path, import_nodeset(files, "made"))
    server = NodesetServer(files[::-1])
    await server.start()
    found = [one async for one in browse_device(Peer("sim", server.address, Settings()), SystemClock(), "Machines/**")]
    await server.stop()
    online = loaded(tmp_path, device_map_text("made", found, "browsed"))
    assert {(tag.at, tag.type) for tag in made.tags} == {(tag.at, tag.type) for tag in online.tags}
    assert {one.at for one in made.texts} == {one.at for one in online.texts}
    assert len(made.tags) + len(made.texts) > 15


def test_structures_of_a_shipped_nodeset_are_taken_apart(tmp_path):
    made = loaded(tmp_path, import_nodeset(shipped("MDIS"), "made"))
    assert {tag.at for tag in made.tags if "#" in tag.at} == {f"i=15391#{name}" for name in ("MajorVersion", "MinorVersion", "Build")}
    assert {tag.type for tag in made.tags} == {TagType.UINT8}


def test_a_nodeset_of_types_alone_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="browse a server"):
        import_nodeset(shipped("Ua.Machinery", "Ua.Di"), "made")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        pytest.param('NodeId="ns=1;i=31" ', "", r'pump\.xml:23: <UAVariable> has no "NodeId"', id="node without id"),
        pytest.param(
            'DataType="ns=1;i=10"/>', 'DataType="Doubel"/>', r'pump\.xml:29: <UAVariable>: "Doubel" is neither an alias', id="alias"
        ),
        pytest.param('NodeId="ns=1;i=32"', 'NodeId="ns=4;i=32"', r"pump\.xml:26: .*NamespaceUris", id="namespace index"),
        pytest.param('NodeId="ns=1;i=32"', 'NodeId="ns=1;i=31"', r"pump\.xml:26: .*used twice", id="twice"),
        pytest.param('Name="Auto" Value="2"', 'Name="Auto"', r'pump\.xml:7: <Field Name="Auto"> .* no "Value"', id="field"),
        pytest.param("<uax:Low>-10", "<uax:Low>low", r'pump\.xml:26: .*"EURange".*numbers', id="range"),
        pytest.param("</UAObject>", "", r"pump\.xml:\d+: not well-formed", id="not well-formed"),
        pytest.param("<UANodeSet", '<!DOCTYPE x [<!ENTITY a "b">]>\n<UANodeSet', r"pump\.xml:2: a document type", id="doctype"),
        pytest.param("UANodeSet", "UANodeList", "expected <UANodeSet>, found <UANodeList>", id="root"),
    ],
)
def test_what_violates_the_form_is_named_with_element_and_line(tmp_path, old, new, complaint):
    assert old in NODESET
    with pytest.raises(NodesetError, match=complaint):
        imported(tmp_path, NODESET.replace(old, new))


def test_every_number_type_of_opc_ua_has_a_tag_type():
    assert [TagType(name) for name in BUILTIN.values()] == list(TagType)
