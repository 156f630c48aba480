"""The OPC UA driver against asyncua's own server: parts of values, limits, deadbands, gaps, history, alarms, texts, writes."""

import asyncio
import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.utils import ServiceError

from protocols import quality
from protocols.clock import SystemClock
from protocols.devicemap import Device, DeviceMap, Tag, TagType, Text
from protocols.driver import DeviceUnreachable, DriverSetup, WriteRefused
from protocols.opcua import history
from protocols.opcua.driver import OpcUaDriver
from protocols.opcua.parts import BAD_INDEX_RANGE_NO_DATA
from protocols.opcua.plan import Options, Settings, TagOptions
from simulators.opcua_nodesets import NAMESPACE, NodesetServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = ("MaxNodesPerRead", "MaxMonitoredItemsPerCall")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_US = 1_772_366_400_000_000
SETTINGS = Settings(timeout_us=2_000_000)


class Plc(NodesetServer):
    """A server with a few variables of its own."""

    def __init__(self):
        super().__init__(())
        self.ids = {}

    async def add(self, name, value, kind, namespace=NAMESPACE, **more):
        index = await self.server.register_namespace(namespace)
        self.ids[name] = ua.NodeId(name, index)
        variable = await self.server.nodes.objects.add_variable(self.ids[name], f"{index}:{name}", value, varianttype=kind, **more)
        await variable.set_writable()
        return variable

    async def show(self, name, value, kind, seconds=0, status=0):
        moment = START + timedelta(seconds=seconds)
        found = ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), moment, datetime.now(UTC))
        await self.server.write_attribute_value(self.ids[name], found)

    async def limit(self, name, limit):
        node = self.server.get_node(getattr(ua.ObjectIds, f"Server_ServerCapabilities_OperationLimits_{name}"))
        await node.write_value(ua.Variant(limit, ua.VariantType.UInt32))

    async def value(self, name):
        return await self.server.get_node(self.ids[name]).read_value()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server():
    plc = Plc()
    await plc.start()
    yield plc
    await plc.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def plc(server):
    """The same server for all tests, without what one of them changed in it."""
    iserver = server.server.iserver
    changed = (iserver.subscription_service, iserver.aspace, iserver.user_manager)
    before = [dict(vars(thing)) for thing in changed]
    yield server
    for thing, had in zip(changed, before, strict=True):
        for name in vars(thing).keys() - had.keys():
            delattr(thing, name)
    kept = iserver.history_manager.storage._datachanges  # asyncua cannot delete a node whose history it keeps
    await server.server.delete_nodes([server.server.get_node(node) for node in server.ids.values() if node not in kept])
    server.ids.clear()
    for limit in LIMITS:
        await server.limit(limit, 0)


@pytest_asyncio.fixture(loop_scope="module")
async def opened(plc):
    """Opens a driver on tags given as (at, type) or whole tags; closes it at the end."""
    drivers = []

    async def opened(*tags, texts=(), since=None, clock=None, **options):
        made = [tag if isinstance(tag, Tag) else Tag(name=f"t{n}", at=tag[0], type=tag[1]) for n, tag in enumerate(tags)]
        device_map = DeviceMap("m", "x", (), "opcua", Options(NAMESPACE, publishing_us=20_000, **options), tuple(made), texts=tuple(texts))
        driver = OpcUaDriver(Device("plc", device_map, plc.address, SETTINGS, first_id=10), clock or SystemClock())
        drivers.append(driver)
        driver.resume(since or {})
        await driver.open()
        return driver

    yield opened
    for driver in drivers:
        await driver.close()


async def taken(driver, count, seconds=5):
    """(tag number, value, quality, seconds after START) of `count` samples, in order of arrival."""
    found = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            for block in (await driver.read()).blocks:
                codes = block.quality.tolist() if block.quality is not None else [0] * block.samples
                tags = (block.tags - 10).tolist()
                times = ((block.times_us - START_US) / 1e6).tolist()
                found += zip(tags, block.values.tolist(), codes, times, strict=True)
    return found


async def told(driver, count=1, seconds=5):
    events = []
    async with asyncio.timeout(seconds):
        while len(events) < count:
            events += (await driver.read()).events
    return events


# ---- addresses and values


async def test_elements_of_an_array_are_tags_and_a_missing_one_is_bad_not_its_neighbour(plc, opened):
    await plc.add("Temps", [1.5, 2.5, 3.5], ua.VariantType.Double)
    await plc.add("Plain", 7, ua.VariantType.Int16)
    driver = await opened(("s=Temps#[0]", TagType.FLOAT64), ("s=Plain", TagType.INT16), ("s=Temps#[2]", TagType.FLOAT64))
    first = await taken(driver, 3)
    assert sorted(row[:3] for row in first) == [(0, 1.5, 0), (1, 7, 0), (2, 3.5, 0)]
    await plc.show("Temps", [9.5], ua.VariantType.Double, 1)
    assert sorted(row[:3] for row in await taken(driver, 2)) == [(0, 9.5, 0), (2, 0.0, BAD_INDEX_RANGE_NO_DATA)]


async def test_members_of_structures_are_tags_whatever_namespace_index_their_type_has(plc, opened):
    index = await plc.server.register_namespace("urn:types")
    from asyncua.common.structures104 import new_enum, new_struct, new_struct_field

    mode = await new_enum(plc.server, index, "Mode", ["Off", "Hand", "Auto"])
    axis, _ = await new_struct(plc.server, index, "Axis", [new_struct_field("Angle", ua.VariantType.Float)])
    fields = [
        new_struct_field("Name", ua.VariantType.String),
        new_struct_field("Speed", ua.VariantType.Double),
        new_struct_field("Mode", mode),
        new_struct_field("Axes", axis, array=True),
        new_struct_field("Count", ua.VariantType.UInt16),
    ]
    motor, _ = await new_struct(plc.server, index, "Motor", fields)
    await plc.server.load_data_type_definitions()
    value = ua.Motor(Name="M1", Speed=12.5, Mode=ua.Mode.Auto, Axes=[ua.Axis(1.0), ua.Axis(2.0)], Count=65535)
    variable = await plc.add("Motor", value, ua.VariantType.ExtensionObject, datatype=motor.nodeid)
    assert await variable.read_data_type() == motor.nodeid
    driver = await opened(
        ("s=Motor#Speed", TagType.FLOAT64),
        ("s=Motor#Mode", TagType.INT32),
        ("s=Motor#Axes[1].Angle", TagType.FLOAT32),
        ("s=Motor#Count", TagType.UINT16),
        ("s=Motor#Name", TagType.INT16),
        ("s=Motor#Nothing", TagType.INT16),
    )
    found = sorted(row[:3] for row in await taken(driver, 6))
    assert found == [
        (0, 12.5, 0),
        (1, 2, 0),
        (2, 2.0, 0),
        (3, 65535, 0),
        (4, 0, quality.BAD_TYPE_MISMATCH),
        (5, 0, BAD_INDEX_RANGE_NO_DATA),
    ]


async def test_a_tag_may_be_in_another_namespace_and_an_unknown_namespace_costs_only_its_tag(plc, opened):
    await plc.add("A", 1, ua.VariantType.Int16)
    await plc.add("B", 2, ua.VariantType.Int16, namespace="urn:other")
    driver = await opened(("s=A", TagType.INT16), ("nsu=urn:other;s=B", TagType.INT16), ("nsu=urn:nowhere;s=C", TagType.INT16))
    found = sorted(row[:3] for row in await taken(driver, 3))
    assert found == [(0, 1, 0), (1, 2, 0), (2, 0, quality.BAD_NODE_ID_UNKNOWN)]


async def test_a_type_that_changes_while_running_is_bad_for_that_tag_only(plc, opened):
    await plc.add("A", 1, ua.VariantType.Int16)
    plc.server.iserver.aspace._is_expected_variant_type = lambda *_: True  # or the server would refuse it
    await plc.add("B", 2, ua.VariantType.Int16)
    driver = await opened(("s=A", TagType.INT16), ("s=B", TagType.INT16))
    await taken(driver, 2)
    for step, (kind, value) in enumerate(((ua.VariantType.String, "1"), (ua.VariantType.Double, 1.5), (ua.VariantType.Int16, 5)), 1):
        await plc.show("A", value, kind, step)
    await plc.show("B", 3, ua.VariantType.Int16, 1)
    found = await taken(driver, 4)
    assert [row[1:3] for row in found if row[0] == 0] == [(0, quality.BAD_TYPE_MISMATCH), (0, quality.BAD_TYPE_MISMATCH), (5, 0)]
    assert [row[1:3] for row in found if row[0] == 1] == [(3, 0)]


# ---- requests


async def test_requests_stay_within_the_limits_of_the_server(plc, opened, monkeypatch):
    for name, limit in zip(LIMITS, (3, 4), strict=True):
        await plc.limit(name, limit)
    asked = []
    service = plc.server.iserver.subscription_service
    create = service.create_monitored_items

    async def counted(params, *rest):
        asked.append(len(params.ItemsToCreate))
        return await create(params, *rest)

    service.create_monitored_items = counted
    for number in range(10):
        await plc.add(f"N{number}", number, ua.VariantType.Int16)
    driver = await opened(*((f"s=N{number}", TagType.INT16) for number in range(10)))
    assert sorted(row[:2] for row in await taken(driver, 10)) == [(number, number) for number in range(10)]
    assert asked == [4, 4, 2]


async def test_a_server_that_refuses_many_operations_at_once_without_having_said_so_gets_fewer(plc, opened):
    service = plc.server.iserver.subscription_service
    create = service.create_monitored_items
    asked = []

    async def few(params, *rest):
        asked.append(len(params.ItemsToCreate))
        if len(params.ItemsToCreate) > 3:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return await create(params, *rest)

    service.create_monitored_items = few
    for number in range(10):
        await plc.add(f"N{number}", number, ua.VariantType.Int16)
    driver = await opened(*((f"s=N{number}", TagType.INT16) for number in range(10)))
    assert sorted(row[:2] for row in await taken(driver, 10)) == [(number, number) for number in range(10)]
    assert max(asked[-4:]) <= 3


async def test_every_of_a_tag_is_its_sampling_interval_and_a_deadband_is_the_servers(plc, opened):
    await plc.add("A", 10.0, ua.VariantType.Double)
    await plc.add("B", 10.0, ua.VariantType.Double)
    asked = {}
    service = plc.server.iserver.subscription_service
    create = service.create_monitored_items

    async def noted(params, *rest):
        asked.update({item.RequestedParameters.ClientHandle: item.RequestedParameters.SamplingInterval for item in params.ItemsToCreate})
        return await create(params, *rest)

    service.create_monitored_items = noted
    thinned = Tag("a", "s=A", TagType.FLOAT64, extra=TagOptions(250_000, 1.0))
    driver = await opened(thinned, ("s=B", TagType.FLOAT64))
    await taken(driver, 2)
    for step, value in enumerate((10.5, 10.6, 12.0), 1):
        await plc.show("A", value, ua.VariantType.Double, step)
        await plc.show("B", value, ua.VariantType.Double, step)
    found = await taken(driver, 4)
    assert [row[1] for row in found if row[0] == 1] == [10.5, 10.6, 12.0]
    assert [row[1] for row in found if row[0] == 0] == [12.0]
    assert asked == {0: 250.0, 1: 0.0}


async def test_a_deadband_that_the_server_refuses_is_left_out_and_the_node_is_not(plc, opened, caplog):
    await plc.add("A", 10.0, ua.VariantType.Double)
    service = plc.server.iserver.subscription_service
    create = service.create_monitored_items

    async def refusing(params, *rest):
        results = await create(params, *rest)
        for item, result in zip(params.ItemsToCreate, results, strict=True):
            if item.RequestedParameters.Filter.DeadbandType:
                result.StatusCode = ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        return results

    service.create_monitored_items = refusing
    driver = await opened(Tag("a", "s=A", TagType.FLOAT64, extra=TagOptions(None, 5.0, True)))
    await taken(driver, 1)
    await plc.show("A", 10.1, ua.VariantType.Double, 1)
    assert (await taken(driver, 1))[-1][1:3] == (10.1, 0)
    assert "opcua_deadband_refused tags=1" in caplog.text


async def test_a_quiet_tag_with_a_deadband_is_read_by_its_heartbeat(plc, opened):
    await plc.add("A", 10.0, ua.VariantType.Double)
    driver = await opened(Tag("a", "s=A", TagType.FLOAT64, extra=TagOptions(None, 5.0, False, 100_000)))
    await taken(driver, 1)
    await plc.show("A", 10.1, ua.VariantType.Double, 86400 * 365 * 10)
    assert (await taken(driver, 1))[0][1] == 10.1


async def test_a_server_that_publishes_less_often_is_asked_to_keep_alive_by_its_own_interval(plc, opened):
    await plc.add("A", 10.0, ua.VariantType.Double)
    service = plc.server.iserver.subscription_service
    create, modify, asked = service.create_subscription, service.modify_subscription, []

    async def slow(*rest, **more):
        result = await create(*rest, **more)
        result.RevisedPublishingInterval = 1000
        return result

    def noted(params, *rest):
        asked.append((params.RequestedPublishingInterval, params.RequestedMaxKeepAliveCount))
        result = modify(params, *rest)
        result.RevisedPublishingInterval, result.RevisedMaxKeepAliveCount = 1000, 45
        return result

    service.create_subscription, service.modify_subscription = slow, noted
    driver = await opened(("s=A", TagType.FLOAT64))
    assert asked == [(1000, 20)]
    assert driver._silence_us == 90_000_000
    assert (await taken(driver, 1))[0][1] == 10.0


# ---- what got lost


def losing(plc, *numbers, keep=True):
    """Let the server forget to send these notifications; without `keep` it cannot repeat them."""
    for subscription in plc.server.iserver.subscription_service.subscriptions.values():
        pop = subscription._pop_publish_result

        def altered(subscription=subscription, pop=pop):
            result = pop()
            if result.NotificationMessage.SequenceNumber in numbers and result.NotificationMessage.NotificationData:
                if not keep:
                    subscription._not_acknowledged_results.pop(result.NotificationMessage.SequenceNumber)
                empty = ua.PublishResult(SubscriptionId=result.SubscriptionId)
                empty.NotificationMessage.SequenceNumber = subscription._notification_seq
                return empty
            return result

        subscription._pop_publish_result = altered


async def test_a_lost_notification_is_asked_for_again_and_comes_in_its_place(plc, opened):
    await plc.add("A", 0.0, ua.VariantType.Double)
    driver = await opened(("s=A", TagType.FLOAT64))
    await taken(driver, 1)
    losing(plc, 2)
    found = []
    for step in (1, 2, 3):
        await plc.show("A", float(step), ua.VariantType.Double, step)
        if step != 1:
            found += await taken(driver, 2 if step == 2 else 1)
        else:
            await asyncio.sleep(0.1)
    assert [row[1] for row in found] == [1.0, 2.0, 3.0]


async def test_of_every_seventh_notification_lost_on_its_way_no_value_is_missing_or_doubled(plc, opened):
    await plc.add("A", 0.0, ua.VariantType.Double)
    driver = await opened(("s=A", TagType.FLOAT64))
    await taken(driver, 1)
    losing(plc, *range(2, 10_000, 7))
    service, repeated = plc.server.iserver.subscription_service, []
    republish = service.republish
    service.republish = lambda params: repeated.append(params.RetransmitSequenceNumber) or republish(params)
    reading = asyncio.create_task(taken(driver, 300, 20))
    for step in range(1, 301):
        await plc.show("A", float(step), ua.VariantType.Double, step)
        await asyncio.sleep(0.01)
    while not reading.done():  # the last one may be lost as well: only a later one shows that
        step += 1
        await plc.show("A", float(step), ua.VariantType.Double, step)
        await asyncio.sleep(0.05)
    values = [row[1] for row in await reading]
    assert values[:300] == [float(step) for step in range(1, 301)]
    assert values == sorted(set(values))
    assert len(repeated) > 10


async def test_a_notification_lost_for_good_is_told(plc, opened):
    await plc.add("A", 0.0, ua.VariantType.Double)
    driver = await opened(("s=A", TagType.FLOAT64))
    await taken(driver, 1)
    losing(plc, 2, keep=False)
    await plc.show("A", 1.0, ua.VariantType.Double, 1)
    (event,) = await told(driver)
    assert (event.kind, event.detail["lost"]) == ("device", 1)


async def test_with_history_a_lost_notification_is_read_by_the_next_session_without_doubles(plc, opened):
    await plc.add("Kept", 0.0, ua.VariantType.Double)
    await plc.show("Kept", 0.0, ua.VariantType.Double, 0)
    await plc.historize([plc.ids["Kept"]])
    driver = await opened(("s=Kept", TagType.FLOAT64), history=True)
    found = await taken(driver, 1)
    losing(plc, 2, keep=False)
    await plc.show("Kept", 1.0, ua.VariantType.Double, 1)
    with pytest.raises(DeviceUnreachable, match="reading them from history"):
        await taken(driver, 1)
    await plc.show("Kept", 2.0, ua.VariantType.Double, 2)
    await asyncio.sleep(0.1)  # the server keeps its history by itself
    await driver.close()
    await driver.open()
    found += await taken(driver, 2)
    assert [row[1] for row in found] == [0.0, 1.0, 2.0]


async def test_history_fills_an_outage_in_order_before_live_values(plc, opened):
    names = ("Past", "Also")
    for name in names:
        await plc.add(name, 0.0, ua.VariantType.Double)
        await plc.show(name, 0.0, ua.VariantType.Double, 0)
    plc.server.iserver.history_manager.storage.max_history_data_response_size = 7
    await plc.historize([plc.ids[name] for name in names])
    for step in range(1, 51):
        for name in names:
            await plc.show(name, step / 2, ua.VariantType.Double, step)
    await asyncio.sleep(0.2)  # the server keeps its history by itself
    since = {0: START_US + 10_000_000, 1: START_US + 20_000_000}
    driver = await opened(("s=Past", TagType.FLOAT64), ("s=Also", TagType.FLOAT64), history=True, since=since)
    found = await taken(driver, 40 + 30)
    await plc.show("Past", 99.0, ua.VariantType.Double, 51)
    found += await taken(driver, 1)
    assert [row[3] for row in found if row[0] == 0] == list(range(11, 52))
    assert [row[3] for row in found if row[0] == 1] == list(range(21, 51))
    assert all(value == time / 2 for tag, value, _, time in found if time < 51)


async def test_a_server_that_cuts_history_short_without_saying_so_is_asked_for_the_rest(plc, opened, monkeypatch):
    monkeypatch.setattr(history, "VALUES_PER_REQUEST", 10)
    await plc.add("Cut", 0.0, ua.VariantType.Double)
    await plc.historize([plc.ids["Cut"]])
    plc.server.iserver.history_manager.storage.max_history_data_response_size = 1000
    for step in range(1, 36):
        await plc.show("Cut", float(step), ua.VariantType.Double, step)
    await asyncio.sleep(0.2)  # the server keeps its history by itself
    driver = await opened(("s=Cut", TagType.FLOAT64), history=True, since={0: START_US})
    assert [row[3] for row in await taken(driver, 35)] == list(range(1, 36))


async def test_a_node_without_history_costs_nothing_but_a_line_in_the_log(plc, opened):
    await plc.add("A", 1.0, ua.VariantType.Double)
    driver = await opened(("s=A", TagType.FLOAT64), history=True, since={0: START_US})
    assert (await taken(driver, 1))[0][1] == 1.0


# ---- what is no number


async def test_alarms_are_events_with_state_severity_and_condition(plc, opened):
    await plc.add("A", 1.0, ua.VariantType.Double)
    driver = await opened(("s=A", TagType.FLOAT64), events=("i=2253", "s=Nothing"))
    told_first = await told(driver)
    assert [(event.kind, event.source) for event in told_first] == [("device", "s=Nothing")]
    await plc.alarm("PT-101", "pressure high", 700, active=True)
    await plc.alarm("PT-101", "pressure normal", 700, active=False, acked=True)
    first, second = await told(driver, 2)
    assert (first.kind, first.source, first.message, first.severity) == ("alarm", "PT-101", "pressure high", 700)
    assert (first.detail["active"], first.detail["acked"], first.detail["condition"]) == (True, False, "PT-101.limit")
    assert first.detail["event_type"] == "i=2915"
    assert (second.detail["active"], second.detail["acked"]) == (False, True)
    assert abs(first.source_us - first.gateway_us) < 10_000_000


async def test_texts_are_told_when_they_are_new_or_change(plc, opened):
    await plc.add("A", 1.0, ua.VariantType.Double)
    await plc.add("Serial", "SN-1", ua.VariantType.String)
    await plc.add("Label", ua.LocalizedText("Pumpe"), ua.VariantType.LocalizedText)
    texts = (Text("serial", "s=Serial", every_us=50_000), Text("label", "s=Label"), Text("none", "s=None"), Text("number", "s=A"))
    driver = await opened(("s=A", TagType.FLOAT64), texts=texts)
    events = {event.source: event for event in await told(driver, 4)}
    assert (events["serial"].kind, events["serial"].message, events["serial"].detail) == ("text", "SN-1", {"at": "s=Serial"})
    assert events["label"].message == "Pumpe"
    assert (events["none"].kind, events["number"].kind) == ("device", "device")
    assert "bad_node_id_unknown" in events["none"].message
    await plc.show("Serial", "SN-2", ua.VariantType.String)
    assert [(event.source, event.message) for event in await told(driver)] == [("serial", "SN-2")]


class HourAhead(SystemClock):
    def now_us(self):
        return super().now_us() + 3_600_000_000


async def test_a_server_whose_clock_is_wrong_is_told(plc, opened):
    await plc.add("A", 1.0, ua.VariantType.Double)
    driver = await opened(("s=A", TagType.FLOAT64), clock=HourAhead())
    (event,) = await told(driver)
    assert (event.kind, event.source) == ("clock", "clock")
    assert re.search(r"-360\d s", event.message)
    assert event.detail["ahead_us"] < -3_599_000_000


# ---- writing


async def test_a_write_has_the_nodes_own_type_and_looks_first(plc, opened):
    await plc.add("A", 5, ua.VariantType.UInt16)
    await plc.add("F", 1.5, ua.VariantType.Float)
    await plc.add("B", False, ua.VariantType.Boolean)
    driver = await opened(("s=A", TagType.UINT16), ("s=F", TagType.FLOAT32), ("s=B", TagType.BOOL))
    await driver.write(0, 6, 5)
    await driver.write(1, 0.1, 1.5)
    await driver.write(2, 1, None)
    assert (await plc.value("A"), await plc.value("B")) == (6, True)
    assert await plc.value("F") == pytest.approx(0.1, rel=1e-7)
    node = plc.server.get_node(plc.ids["A"])
    assert (await node.read_data_value()).Value.VariantType is ua.VariantType.UInt16
    await driver.write(1, 0.2, 0.1)
    for index, raw, expected, reason in ((0, 7, 5, "found 6"), (0, 70000, None, "does not fit"), (0, 1.5, None, "does not fit")):
        with pytest.raises(WriteRefused, match=reason):
            await driver.write(index, raw, expected)
    assert await plc.value("A") == 6


async def test_a_write_that_the_server_refuses_is_told_and_the_link_stands(plc, opened):
    variable = await plc.add("A", 5, ua.VariantType.UInt16)
    await variable.set_read_only()
    driver = await opened(("s=A", TagType.UINT16), ("s=Nothing", TagType.UINT16), ("s=A#[0]", TagType.UINT16))
    plc.server.iserver.user_manager.get_user = lambda *_, **__: None
    with pytest.raises(WriteRefused):
        await driver.write(1, 1, None)
    with pytest.raises(WriteRefused, match="part"):
        await driver.write(2, 1, None)
    await plc.show("A", 6, ua.VariantType.UInt16, 1)
    assert (0, 6, 0) in [row[:3] for row in await taken(driver, 4)]


async def test_a_missing_namespace_of_the_map_is_a_setup_error(plc, opened):
    with pytest.raises(DriverSetup, match=NAMESPACE):
        driver = OpcUaDriver(
            Device(
                "plc",
                DeviceMap("m", "x", (), "opcua", Options("urn:absent"), (Tag("a", "s=A", TagType.INT16),)),
                plc.address,
                dataclasses.replace(SETTINGS),
            ),
            SystemClock(),
        )
        try:
            await driver.open()
        finally:
            await driver.close()
