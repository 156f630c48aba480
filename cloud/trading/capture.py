"""Whether versions of deals may be booked: each continues its chain, says nothing else than what is booked already, and is right.

Pure: what is stored comes in as values. Sending again what is stored changes nothing. A cancelled version is booked whatever the calendars
say by now, so that a deal can always be cancelled.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cloud.trading.deals import Calendars, Deal, Fault, faults_of


@dataclass(frozen=True, slots=True)
class Head:
    """The newest stored version of a deal."""

    version: int
    known_us: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A version handed in, with the digest of its document."""

    deal: Deal
    digest: bytes


@dataclass(frozen=True, slots=True)
class Conflict:
    """What cannot follow what is stored. present: the newest stored version, 0 when there is none."""

    deal_id: str
    version: int
    present: int
    detail: str


@dataclass(frozen=True, slots=True)
class Capture:
    """What to write, in order, or why nothing may be written; `same` is stored already."""

    new: tuple[Sent, ...]
    same: tuple[Sent, ...]
    conflicts: tuple[Conflict, ...]
    faults: tuple[Fault, ...]


def judge(
    sent: Iterable[Sent], heads: Mapping[str, Head], stored: Mapping[tuple[str, int], bytes], calendars: Calendars, now_us: int
) -> Capture:
    """heads: of the deals sent; stored: digests of the versions sent, where they exist. now_us: nothing may be known later than this."""
    following, digests = dict(heads), dict(stored)
    new: list[Sent] = []
    same: list[Sent] = []
    conflicts: list[Conflict] = []
    faults: list[Fault] = []
    for one in sent:
        key = (one.deal.id, one.deal.version)
        if digests.get(key) == one.digest:
            same.append(one)
        elif detail := _broken(one.deal, following.get(one.deal.id), key in digests, now_us):
            conflicts.append(Conflict(*key, following.get(one.deal.id, Head(0, 0)).version, detail))
        else:
            faults += () if one.deal.cancelled else faults_of(one.deal, calendars)
            new.append(one)
            digests[key] = one.digest
            following[one.deal.id] = Head(one.deal.version, one.deal.known_us)
    return Capture(tuple(new), tuple(same), tuple(conflicts), tuple(faults))


def _broken(deal: Deal, head: Head | None, taken: bool, now_us: int) -> str:
    """Why the version does not continue the chain; empty when it does."""
    name = f"deal {deal.id} version {deal.version}"
    if taken:
        return f"{name} is stored with another content; send version {head.version + 1 if head else 1} to amend it"
    expected = head.version + 1 if head else 1
    if deal.version != expected:
        return f"{name}: expected version {expected}"
    if head and deal.known_us < head.known_us:
        return f"{name} is known at {deal.known_us} us, before version {head.version} at {head.known_us} us"
    if deal.known_us > now_us:
        return f"{name} is known at {deal.known_us} us, later than now, {now_us} us"
    return ""
