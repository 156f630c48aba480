"""What clients may set in a simulated IEC 61850 device: settings written directly, states and measurands by control. In the server's process.

Only tags with a `write` in the device map, within its limits; all else is refused as a device would. The library calls these functions on
its threads, through ctypes: they hold the interpreter's lock, and what may wait inside them is called without it.
"""

import ctypes
import time
from collections.abc import Mapping
from typing import Any, Final

ACCEPTED, DENIED = -1, 3  # MmsDataAccessError, CheckHandlerResult: no error, object access denied
FAILED, DONE = 0, 1  # ControlHandlerResult
BLOCKED_BY_PROCESS, BLOCKED_BY_SYNCHROCHECK, NO_ACCESS_AUTHORITY = 9, 11, 20  # IEC 61850-7-2, AddCause
_WRITE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_CHECK: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_bool, ctypes.c_bool)
_CONTROL: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_bool)


class Orders:
    """nodes: the data objects, by (domain, logical node, names...)."""

    def __init__(
        self, iec: Any, library: Any, server: Any, leaves: list[Any], nodes: Mapping[tuple[str, ...], Any], model: dict[str, Any]
    ) -> None:
        self._nodes = nodes
        self._iec, self._library, self._server, self._leaves = iec, library, server, leaves
        self._declare()
        self._keep: list[Any] = []
        self.written: dict[int, float] = {}
        described = model["leaves"]
        models = {tuple(leaf[:3]): int(leaf[7] or 0) for leaf in described if leaf[3] == "ctlModel"}
        for number, (attribute, _, t, _, limits) in enumerate(model["points"]):
            domain, node, name, *_ = described[attribute]
            if described[attribute][4] == "SP":
                self._setting(number, attribute, limits)
            elif (domain, node, name) in models:
                place = self._nodes[domain, node, *name.split(".")]
                iec.IedServer_updateCtlModel(server, iec.toDataObject(place), models[domain, node, name])
                self._control(number, int(place.this), attribute, t, limits, double_point=described[attribute][5] == "Dbpos")

    def _declare(self) -> None:
        library, pointer = self._library, ctypes.c_void_p
        library.IedServer_handleWriteAccess.argtypes = (pointer, pointer, _WRITE, pointer)
        library.IedServer_setPerformCheckHandler.argtypes = (pointer, pointer, _CHECK, pointer)
        library.IedServer_setWaitForExecutionHandler.argtypes = (pointer, pointer, _CHECK, pointer)
        library.IedServer_setControlHandler.argtypes = (pointer, pointer, _CONTROL, pointer)
        library.IedServer_updateAttributeValue.argtypes = (pointer, pointer, pointer)
        library.IedServer_updateDbposValue.argtypes = (pointer, pointer, ctypes.c_int)
        library.IedServer_updateUTCTimeAttributeValue.argtypes = (pointer, pointer, ctypes.c_uint64)
        library.ControlAction_setAddCause.argtypes = (pointer, ctypes.c_int)
        library.MmsValue_getType.argtypes = (pointer,)
        library.MmsValue_toDouble.argtypes, library.MmsValue_toDouble.restype = (pointer,), ctypes.c_double
        library.MmsValue_toInt64.argtypes, library.MmsValue_toInt64.restype = (pointer,), ctypes.c_int64
        library.MmsValue_getBoolean.argtypes, library.MmsValue_getBoolean.restype = (pointer,), ctypes.c_bool
        library.MmsValue_getElement.argtypes, library.MmsValue_getElement.restype = (pointer, ctypes.c_int), pointer

    def _number(self, value: int) -> float:
        library = self._library
        match library.MmsValue_getType(value):
            case self._iec.MMS_BOOLEAN:
                return float(library.MmsValue_getBoolean(value))
            case self._iec.MMS_FLOAT:
                return float(library.MmsValue_toDouble(value))
            case self._iec.MMS_STRUCTURE:
                return self._number(library.MmsValue_getElement(value, 0))
            case _:
                return float(library.MmsValue_toInt64(value))

    def _setting(self, number: int, attribute: int, limits: list[float]) -> None:
        def write(_: int, value: int, __: int, ___: int) -> int:
            found = self._number(value)
            if not limits or not limits[0] <= found <= limits[1]:
                return DENIED
            self.written[number] = found
            return ACCEPTED

        handler = _WRITE(write)
        self._keep.append(handler)
        self._library.IedServer_handleWriteAccess(int(self._server), int(self._leaves[attribute].this), handler, None)

    def _control(self, number: int, place: int, attribute: int, t: int, limits: list[float], *, double_point: bool) -> None:
        iec, library = self._iec, self._library
        leaf = self._leaves[attribute]

        def raw(value: int) -> float:
            found = self._number(value)
            return 1 + found if double_point else found  # true is "on" (2), false "off" (1)

        def check(action: int, _: int, value: int, __: bool, ___: bool) -> int:
            if not limits:
                library.ControlAction_setAddCause(action, NO_ACCESS_AUTHORITY)
                return DENIED
            if value and not limits[0] <= raw(value) <= limits[1]:
                library.ControlAction_setAddCause(action, BLOCKED_BY_PROCESS)
                return DENIED
            return ACCEPTED

        def operate(_: int, __: int, value: int, test: bool) -> int:
            if test:
                return DONE
            self.written[number] = raw(value)
            if t >= 0:
                library.IedServer_updateUTCTimeAttributeValue(int(self._server), int(self._leaves[t].this), int(time.time() * 1000))
            if double_point:
                library.IedServer_updateDbposValue(int(self._server), int(leaf.this), int(self.written[number]))
            else:
                inner = library.MmsValue_getElement(value, 0) if library.MmsValue_getType(value) == iec.MMS_STRUCTURE else value
                library.IedServer_updateAttributeValue(int(self._server), int(leaf.this), inner)
            return DONE

        def wait(action: int, _: int, __: int, ___: bool, synchro_check: bool) -> int:
            """No simulated device is in synchronism with anything."""
            if synchro_check:
                library.ControlAction_setAddCause(action, BLOCKED_BY_SYNCHROCHECK)
            return FAILED if synchro_check else DONE

        check_handler, wait_handler, control_handler = _CHECK(check), _CHECK(wait), _CONTROL(operate)
        self._keep += [check_handler, wait_handler, control_handler]
        library.IedServer_setWaitForExecutionHandler(int(self._server), place, wait_handler, None)
        library.IedServer_setPerformCheckHandler(int(self._server), place, check_handler, None)
        library.IedServer_setControlHandler(int(self._server), place, control_handler, None)
