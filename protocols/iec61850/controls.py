"""Setting values in a device, in the child process: settings by writing them, states and measurands by control, as the device's own control
model asks (direct or select-before-operate, with normal or enhanced security; IEC 61850-7-2, 20). Whether it may be done is not decided here.

The value is read first and compared with what is expected; nothing of ours comes between that and the order.
"""

import ctypes
import threading
from typing import Any, Final

from protocols.iec61850.client import Client
from protocols.iec61850.unlocked import TERMINATION

STATUS_ONLY, DIRECT, SELECT, DIRECT_ENHANCED, SELECT_ENHANCED = range(5)
REMOTE: Final = 3  # originator category of IEC 61850-7-3: remote control
ADD_CAUSES: Final = (  # IEC 61850-7-2, table 59
    "unknown", "not supported", "blocked by switching hierarchy", "select failed", "invalid position", "position reached",
    "parameter change in execution", "step limit", "blocked by mode", "blocked by process", "blocked by interlocking",
    "blocked by synchrocheck", "command already in execution", "blocked by health", "1 of n control", "abortion by cancel",
    "time limit over", "abortion by trip", "object not selected", "object already selected", "no access authority",
    "ended with overshoot", "abortion due to deviation", "abortion by communication loss", "abortion by command", "none",
    "inconsistent parameters", "locked by other client",
)  # fmt: skip
ERRORS: Final = {21: "access denied", 22: "object does not exist", 25: "type inconsistent", 29: "hardware fault", 32: "value invalid"}


class Refused(Exception):
    """Nothing was changed, or the device said that it would not."""


def _single(number: float) -> float:
    """As a value of 32 bits has it."""
    return ctypes.c_float(number).value


class Controls:
    def __init__(self, client: Client) -> None:
        self._client, self._iec, self._unlocked = client, client.iec, client.unlocked
        self._originator = client.request["originator"].encode()
        self._orders = {reference: self._order_type(reference) for reference in self._controlled()}
        self._handler: Any = None

    def _controlled(self) -> set[str]:
        points = self._client.request["points"]
        return {points[number][0] for number in self._client.request["writable"] if points[number][2] in ("ST", "MX")}

    def _order_type(self, reference: str) -> Any:
        """Of ctlVal; None where there is none. Asked before reports come: see `protocols.iec61850.unlocked`."""
        iec = self._iec
        specification, error = self._client.ask(iec.IedConnection_getVariableSpecification, reference, iec.IEC61850_FC_CO)
        if error or specification is None:
            return None
        return iec.MmsVariableSpecification_getNamedVariableRecursive(specification, "Oper$ctlVal")

    def write(self, point: int, raw: float, expected: float | None) -> None:
        """Raises Refused."""
        reference, attribute, constraint, wanted, _ = self._client.request["points"][point]
        member = f"{reference}[{constraint}]"
        if member not in self._client.specifications:
            raise Refused(f"the device has no {reference}")
        present = self._present(member, attribute)
        try:
            found = self._client.number(present, wanted)
            if found is None:
                raise Refused(f"{reference}.{attribute} is not of type {wanted} in the device")
            if expected is not None and found != (_single(expected) if wanted == "float32" else expected):
                raise Refused(f"the value is {found:g}, not {expected:g} as expected")
            if constraint in ("ST", "MX"):
                self._control(reference, raw, self._iec.MmsValue_getType(present) == self._iec.MMS_BIT_STRING)
            else:
                self._fill(present, raw)
                path = f"{reference}.{attribute.replace('$', '.')}"
                _, error = self._client.ask(self._unlocked.write_object, path, self._client.split(member)[1], present)
                if error:
                    raise Refused(f"the device refuses to write {path} ({ERRORS.get(error, f'error {error}')})")
        finally:
            self._iec.MmsValue_delete(present)

    def _present(self, member: str, attribute: str) -> Any:
        """A copy of the value as it is; the caller deletes it."""
        iec = self._iec
        value, error = self._client.ask(self._unlocked.read_object, *self._client.split(member))
        if value is None or error:
            raise Refused(f"{member} cannot be read (error {error})")
        found = iec.MmsVariableSpecification_getChildValue(self._client.specifications[member], value, attribute)
        present = None if found is None else iec.MmsValue_clone(found)
        iec.MmsValue_delete(value)
        if present is None:
            raise Refused(f"{member} has no {attribute.replace('$', '.')}")
        return present

    def _fill(self, value: Any, raw: float) -> None:
        """A number into a value of the device's type. Raises Refused where it does not fit: the library would leave the old one."""
        iec = self._iec
        kind = iec.MmsValue_getType(value)
        if kind == iec.MMS_BOOLEAN:
            iec.MmsValue_setBoolean(value, bool(raw))
        elif kind == iec.MMS_FLOAT:
            iec.MmsValue_setDouble(value, raw)
        elif kind == iec.MMS_INTEGER:
            (iec.MmsValue_setInt32 if -(2**31) <= raw < 2**31 else iec.MmsValue_setInt64)(value, int(raw))
        elif kind == iec.MMS_UNSIGNED:
            iec.MmsValue_setUint32(value, int(raw))
        elif kind == iec.MMS_BIT_STRING:
            iec.MmsValue_setBitStringFromIntegerBigEndian(value, int(raw))
        elif kind == iec.MMS_STRUCTURE and iec.MmsValue_getArraySize(value):
            self._fill(iec.MmsValue_getElement(value, 0), raw)  # AnalogueValue: f or i
            return
        else:
            raise Refused(f"values of MMS type {kind} are not written")
        if kind != iec.MMS_FLOAT and self._client.number(value, "bool" if kind == iec.MMS_BOOLEAN else "int64") != raw:
            raise Refused(f"{raw:g} does not fit into the device's type")

    def _control(self, reference: str, raw: float, double_point: bool) -> None:
        control = self._unlocked.control(self._client.connection, reference)
        if not control:
            raise Refused(f"{reference} cannot be controlled: it has no Oper")
        try:
            model = self._unlocked.property("getControlModel", control)
            if model == STATUS_ONLY:
                raise Refused(f"{reference} cannot be controlled: its control model is status-only")
            value = self._order(reference, raw, double_point)
            try:
                self._carry_out(control, model, value, reference)
            finally:
                self._iec.MmsValue_delete(value)
        finally:
            self._unlocked.free_control(control)

    def _order(self, reference: str, raw: float, double_point: bool) -> Any:
        """ctlVal of the type that the device gives it. A double point is switched by true (on, 2) and false (off, 1)."""
        iec = self._iec
        part = self._orders.get(reference)
        if part is None:
            raise Refused(f"{reference} cannot be controlled: it has no Oper with a ctlVal")
        value = iec.MmsValue_newDefaultValue(part)
        if double_point and iec.MmsValue_getType(value) == iec.MMS_BOOLEAN:
            if raw not in (1, 2):
                raise Refused(f"a double point is set to 1 (off) or 2 (on), not {raw:g}")
            raw -= 1
        self._fill(value, raw)
        return value

    def _carry_out(self, control: int, model: int, value: Any, reference: str) -> None:
        unlocked, settings = self._unlocked, self._client.request
        unlocked.property("setOrigin", control, ctypes.c_char_p(self._originator), ctypes.c_int(REMOTE))
        unlocked.property("setInterlockCheck", control, ctypes.c_bool(settings["interlock"]))
        unlocked.property("setSynchroCheck", control, ctypes.c_bool(settings["synchro"]))
        ended = threading.Event()
        self._handler = TERMINATION(lambda _, __: ended.set())  # lives until the control object is freed
        unlocked.property("setCommandTerminationHandler", control, self._handler, ctypes.c_void_p())
        if model == SELECT and not unlocked.select(control):
            raise Refused(f"{reference} could not be selected: {self._cause(control)}")
        if model == SELECT_ENHANCED and not unlocked.select_with_value(control, value):
            raise Refused(f"{reference} could not be selected: {self._cause(control)}")
        if not unlocked.operate(control, value):
            cause = self._cause(control)
            if model in (SELECT, SELECT_ENHANCED):
                unlocked.cancel(control)
            raise Refused(f"{reference} was not operated: {cause}")
        if model in (DIRECT_ENHANCED, SELECT_ENHANCED):
            if not ended.wait(settings["timeout_ms"] / 1000):
                raise Refused(f"{reference} was operated, but the device did not say how it ended")
            if unlocked.refusal(control).error:
                raise Refused(f"{reference} was operated and failed: {self._cause(control)}")

    def _cause(self, control: int) -> str:
        if not self._client.connected:
            self._client.output.fail("unreachable", "the association was lost during a control: it is not known what happened")
        cause = self._unlocked.refusal(control).cause
        return ADD_CAUSES[cause] if 0 <= cause < len(ADD_CAUSES) else f"cause {cause}"
