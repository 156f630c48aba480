"""The library's requests, made without holding the interpreter's lock. Only for the child process.

The binding keeps the lock while it waits for an answer. A report that comes first then waits for the lock, on the library's one receiving
thread, which so never gets to the answer: both wait for ever. What is asked while reports may come is therefore asked through ctypes,
which lets go of the lock.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final

_POINTER: Final = ctypes.c_void_p
_ERROR: Final = ctypes.POINTER(ctypes.c_int)
TERMINATION: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)  # called on the library's thread, with the interpreter's lock


class Refusal(ctypes.Structure):
    """LastApplError of libiec61850: how a device answered a control. cause: AddCause of IEC 61850-7-2."""

    _fields_ = (("number", ctypes.c_int), ("error", ctypes.c_int), ("cause", ctypes.c_int))


class Unlocked:
    """Takes and gives the binding's own objects, and addresses for what has none. Each request returns (answer, error), as the binding does."""

    def __init__(self, iec: Any) -> None:
        library = ctypes.CDLL(iec._pyiec61850.__file__)  # what the binding is linked with is found through it
        self._iec, self._library = iec, library
        self._read = self._declare("IedConnection_readObject", _POINTER, _POINTER, _ERROR, ctypes.c_char_p, ctypes.c_int)
        self._write = self._declare("IedConnection_writeObject", None, _POINTER, _ERROR, ctypes.c_char_p, ctypes.c_int, _POINTER)
        self._set_block = self._declare("IedConnection_setRCBValues", None, _POINTER, _ERROR, _POINTER, ctypes.c_uint32, ctypes.c_bool)
        self._put = self._declare("MmsValue_setElement", None, _POINTER, ctypes.c_int, _POINTER)
        self._interrogate = self._declare("IedConnection_triggerGIReport", None, _POINTER, _ERROR, ctypes.c_char_p)
        self._delete_set = self._declare("IedConnection_deleteDataSet", ctypes.c_bool, _POINTER, _ERROR, ctypes.c_char_p)
        self._name_set = self._declare("ClientReportControlBlock_setDataSetReference", None, _POINTER, ctypes.c_char_p)
        self._stamp = self._declare("MmsValue_getUtcTimeBuffer", _POINTER, _POINTER)
        self._control = self._declare("ControlObjectClient_create", _POINTER, ctypes.c_char_p, _POINTER)
        self._control_free = self._declare("ControlObjectClient_destroy", None, _POINTER)
        self._operate = self._declare("ControlObjectClient_operate", ctypes.c_bool, _POINTER, _POINTER, ctypes.c_uint64)
        self._select = self._declare("ControlObjectClient_select", ctypes.c_bool, _POINTER)
        self._select_with = self._declare("ControlObjectClient_selectWithValue", ctypes.c_bool, _POINTER, _POINTER)
        self._cancel = self._declare("ControlObjectClient_cancel", ctypes.c_bool, _POINTER)
        self._last = self._declare("ControlObjectClient_getLastApplError", Refusal, _POINTER)
        self._holder = iec.MmsValue_createEmptyStructure(1)

    def _declare(self, name: str, answer: Any, *arguments: Any) -> Any:
        function = getattr(self._library, name)
        function.restype, function.argtypes = answer, arguments
        return function

    def read_object(self, connection: Any, reference: str, constraint: int) -> tuple[Any, int]:
        """The caller deletes the value."""
        error = ctypes.c_int()
        found = self._read(int(connection), ctypes.byref(error), reference.encode(), constraint)
        return (self._adopt(found) if found else None), error.value

    def write_object(self, connection: Any, reference: str, constraint: int, value: Any) -> tuple[None, int]:
        error = ctypes.c_int()
        self._write(int(connection), ctypes.byref(error), reference.encode(), constraint, int(value))
        return None, error.value

    def set_block_values(self, connection: Any, block: Any, mask: int, single: bool) -> tuple[None, int]:
        error = ctypes.c_int()
        self._set_block(int(connection), ctypes.byref(error), int(block), mask, single)
        return None, error.value

    def interrogate(self, connection: Any, reference: str) -> tuple[None, int]:
        error = ctypes.c_int()
        self._interrogate(int(connection), ctypes.byref(error), reference.encode())
        return None, error.value

    def delete_data_set(self, connection: Any, reference: str) -> tuple[bool, int]:
        error = ctypes.c_int()
        return self._delete_set(int(connection), ctypes.byref(error), reference.encode()), error.value

    def clear_data_set(self, block: Any) -> None:
        """In our copy of the block; the binding itself takes no empty text."""
        self._name_set(int(block), b"")

    def time(self, stamp: Any) -> tuple[int, int]:
        """(microseconds since 1970, flags) of a time stamp: binary fractions of 60 ns to the nearest microsecond. IEC 61850-8-1, 8.1.3.7."""
        number = int.from_bytes(ctypes.string_at(self._stamp(int(stamp)), 8), "big")
        return ((number >> 8) * 1_000_000 + (1 << 23)) >> 24, number & 0xFF

    def control(self, connection: Any, reference: str) -> int:
        """Reads the control model from the device. 0 = no such object. The caller frees it."""
        return self._control(reference.encode(), int(connection)) or 0

    def free_control(self, control: int) -> None:
        self._control_free(control)

    def operate(self, control: int, value: Any) -> bool:
        return bool(self._operate(control, int(value), 0))

    def select(self, control: int) -> bool:
        return bool(self._select(control))

    def select_with_value(self, control: int, value: Any) -> bool:
        return bool(self._select_with(control, int(value)))

    def cancel(self, control: int) -> bool:
        return bool(self._cancel(control))

    def refusal(self, control: int) -> Refusal:
        found: Refusal = self._last(control)
        return found

    def property(self, name: str, control: int, *values: Any) -> int:
        """Of a control object, without asking the device."""
        function: Callable[..., Any] = getattr(self._library, f"ControlObjectClient_{name}")
        return int(function(_POINTER(control), *values) or 0)

    def _adopt(self, address: int) -> Any:
        """An address as the binding's object: it goes through a structure that holds it for the moment."""
        self._put(int(self._holder), 0, address)
        value = self._iec.MmsValue_getElement(self._holder, 0)
        self._put(int(self._holder), 0, None)
        return value
