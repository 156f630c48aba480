"""Quality of a sample: an OPC UA StatusCode number, and the maps from other protocols onto it.

The top two bits say good (00), uncertain (01) or bad (10); the reason stands below (OPC 10000-4, 7.39;
OPC 10000-8, A.4.3). It is not a health figure and not a clock flag: clock quality travels in the batch's clock record.
Rule: a source that cannot vouch for a value never yields good.
"""

from typing import Final

GOOD: Final = 0x0000_0000
GOOD_LOCAL_OVERRIDE: Final = 0x0096_0000
UNCERTAIN: Final = 0x4000_0000
UNCERTAIN_LAST_USABLE: Final = 0x4090_0000
UNCERTAIN_SUBSTITUTE: Final = 0x4091_0000
UNCERTAIN_SENSOR_NOT_ACCURATE: Final = 0x4093_0000
UNCERTAIN_UNITS_EXCEEDED: Final = 0x4094_0000
BAD: Final = 0x8000_0000
BAD_TIMEOUT: Final = 0x800A_0000
BAD_NO_COMMUNICATION: Final = 0x8031_0000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x8032_0000
BAD_NODE_ID_UNKNOWN: Final = 0x8034_0000
BAD_OUT_OF_RANGE: Final = 0x803C_0000
BAD_DATA_ENCODING_INVALID: Final = 0x8038_0000
BAD_TYPE_MISMATCH: Final = 0x8074_0000
BAD_CONFIGURATION: Final = 0x8089_0000
BAD_NOT_CONNECTED: Final = 0x808A_0000
BAD_DEVICE_FAILURE: Final = 0x808B_0000
BAD_SENSOR_FAILURE: Final = 0x808C_0000
BAD_OUT_OF_SERVICE: Final = 0x808D_0000

_SEVERITY: Final = 0xC000_0000

NAMES: Final[dict[int, str]] = {
    value: name.lower() for name, value in list(globals().items()) if name.isupper() and name[0] != "_" and isinstance(value, int)
}

# Modbus Application Protocol v1.1b3, 7: exception codes.
MODBUS_EXCEPTION: Final[dict[int, int]] = {
    1: BAD_CONFIGURATION,  # illegal function
    2: BAD_CONFIGURATION,  # illegal data address
    3: BAD_CONFIGURATION,  # illegal data value
    4: BAD_DEVICE_FAILURE,  # server device failure
    5: BAD_WAITING_FOR_INITIAL_DATA,  # acknowledge: the device needs more time
    6: BAD_WAITING_FOR_INITIAL_DATA,  # server device busy
    8: BAD_DEVICE_FAILURE,  # memory parity error
    10: BAD_NO_COMMUNICATION,  # gateway path unavailable
    11: BAD_NO_COMMUNICATION,  # gateway target device failed to respond
}

# NAMUR NE 107 device states.
NE107: Final[dict[str, int]] = {
    "ok": GOOD,
    "maintenance_required": GOOD,
    "out_of_specification": UNCERTAIN_SENSOR_NOT_ACCURATE,
    "function_check": GOOD_LOCAL_OVERRIDE,
    "failure": BAD_SENSOR_FAILURE,
}

# Words and numbers that JSON payloads and status registers use (OPC DA style 192/64/0 included).
PLAIN: Final[dict[str | int, int]] = {
    "good": GOOD,
    "uncertain": UNCERTAIN,
    "bad": BAD,
    192: GOOD,
    64: UNCERTAIN,
    0: BAD,
}

_VALIDITY: Final = (GOOD, BAD, BAD, UNCERTAIN)  # IEC 61850-7-3, 6.2: good, invalid, reserved, questionable


def is_good(quality: int) -> bool:
    return quality & _SEVERITY == GOOD


def is_bad(quality: int) -> bool:
    return quality & BAD != 0


def severity(quality: int) -> str:
    """'good', 'uncertain' or 'bad' (a reserved 11 pattern counts as bad)."""
    return ("good", "uncertain", "bad", "bad")[quality >> 30 & 3]


def name(quality: int) -> str:
    """The code's name where it is one of ours, else severity and hexadecimal number."""
    return NAMES.get(quality) or f"{severity(quality)} 0x{quality:08X}"


def from_modbus_exception(code: int) -> int:
    return MODBUS_EXCEPTION.get(code, BAD_DEVICE_FAILURE)


def from_iec61850(validity: int, detail: int = 0, *, substituted: bool = False, test: bool = False) -> int:
    """IEC 61850-7-3, 6.2.

    validity: 0 good, 1 invalid, 2 reserved, 3 questionable.
    detail: bit set in the order overflow, outOfRange, badReference, oscillatory, failure, oldData, inconsistent, inaccurate
    (bit 0 = overflow). A value under test or substituted is never plain good.
    """
    severity_code = _VALIDITY[validity & 3]
    if severity_code == BAD:
        if detail & 0b0001_0000:
            return BAD_SENSOR_FAILURE
        return BAD_NO_COMMUNICATION if detail & 0b0010_0000 else BAD
    if severity_code == UNCERTAIN:
        if detail & 0b0010_0000:
            return UNCERTAIN_LAST_USABLE
        if detail & 0b0000_0011:
            return UNCERTAIN_UNITS_EXCEEDED
        return UNCERTAIN_SENSOR_NOT_ACCURATE if detail & 0b1000_1100 else UNCERTAIN
    if test:
        return UNCERTAIN
    return GOOD_LOCAL_OVERRIDE if substituted else GOOD
