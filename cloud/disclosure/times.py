"""Microseconds since 1970 UTC as the aware times that messages carry, exactly, and back."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)


def microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def utc_day(time_us: int) -> date:
    return moment(time_us).date()
