"""The library's requests, made without holding the interpreter's lock. Only for the child process.

The binding keeps the lock while it waits for an answer. A report that comes first then waits for the lock, on the library's one receiving
thread, which so never gets to the answer: both wait for ever. What is asked while reports may come is therefore asked through ctypes,
which lets go of the lock.
"""

import ctypes
from typing import Any


class Unlocked:
    """Takes and gives the binding's own objects. Each request returns (answer, error), as the binding does."""

    def __init__(self, iec: Any) -> None:
        library = ctypes.CDLL(iec._pyiec61850.__file__)  # what the binding is linked with is found through it
        self._iec = iec
        self._read = library.IedConnection_readObject
        self._read.restype = ctypes.c_void_p
        self._read.argtypes = (ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), ctypes.c_char_p, ctypes.c_int)
        self._set_block = library.IedConnection_setRCBValues
        self._set_block.restype = None
        self._set_block.argtypes = (ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p, ctypes.c_uint32, ctypes.c_bool)
        self._put = library.MmsValue_setElement
        self._put.restype = None
        self._put.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._holder = iec.MmsValue_createEmptyStructure(1)

    def read_object(self, connection: Any, reference: str, constraint: int) -> tuple[Any, int]:
        """The caller deletes the value."""
        error = ctypes.c_int()
        found = self._read(int(connection), ctypes.byref(error), reference.encode(), constraint)
        return (self._adopt(found) if found else None), error.value

    def set_block_values(self, connection: Any, block: Any, mask: int, single: bool) -> tuple[None, int]:
        error = ctypes.c_int()
        self._set_block(int(connection), ctypes.byref(error), int(block), mask, single)
        return None, error.value

    def _adopt(self, address: int) -> Any:
        """An address as the binding's object: it goes through a structure that holds it for the moment."""
        self._put(int(self._holder), 0, address)
        value = self._iec.MmsValue_getElement(self._holder, 0)
        self._put(int(self._holder), 0, None)
        return value
