"""A published message as a file: the feed with one entry, judged in four layers before it leaves.

Schema: our own, and it reads back as what was written. Check characters: EIC, ACER code, LEI of the participant. Cross-field: what a message cannot
mean. Reference data: the codes of the profile. Not for sending: the feed is for platforms to fetch, the file to hand over.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cloud import document
from cloud.compliance.profile import Profile, Unit
from cloud.disclosure.documents import message_document
from cloud.disclosure.setup import Setup
from cloud.disclosure.times import microseconds
from cloud.errors import Problem
from cloud.reports import checks, profile_codes, umm
from cloud.reports.filed import File
from cloud.reports.identifiers import Kind, judge
from cloud.reports.umm import Status, Umm

FEED: Final = "UMM"
NOT_SEEN: Final = ("published", "available", "intervals", "decided")


def digest_of(draft: Umm) -> str:
    """Of what a person sees and agrees to; what remains beside other outages is counted again at the moment of publication."""
    told = {name: value for name, value in message_document(draft).items() if name not in NOT_SEEN}
    return hashlib.sha256(document.encode(told)).hexdigest()


def file_of(message: Umm, setup: Setup, unit: Unit | None, row: bytes) -> File:
    """setup: with the profile whose codes it is judged by. row: the message's evidence. Raises Problem "wrong-file" for what may not leave."""
    published = message.published
    assert published is not None
    data = feed(published, (message,))
    if umm.read_feed(data) != (message,):
        raise Problem("wrong-file", f"schema: {message.id} does not read back as it was written; nothing was published")
    _refuse_unknown(message, setup.profile, unit)
    cancels = message.status is Status.DISMISSED
    found = checks.check(FEED, data, profile_codes.of_profile(FEED, setup.profile))
    return File(FEED, message.event, data, 1, microseconds(published), found, {"umm": row}, cancels=cancels, profile=setup.profile_text)


def feed(updated: datetime, messages: Sequence[Umm]) -> bytes:
    """Named after the participant's code, which can stand in an identifier as a name cannot."""
    return umm.write_feed(messages[0].acer_code if messages else "none", updated, messages)


def _refuse_unknown(message: Umm, profile: Profile, unit: Unit | None) -> None:
    lei = profile.participant.lei
    if lei and not (found := judge(Kind.LEI, lei)).accepted:
        raise Problem("wrong-file", f"checksum: {found.check} at participant.lei: {found.detail}; correct the compliance profile")
    if unit is None or unit.eic != message.asset_eic or unit.zone != message.bidding_zone:
        raise Problem(
            "wrong-file",
            f"reference data: UMM-R-UNIT at {message.id}/affectedAssetEic: {message.asset_eic} in {message.bidding_zone} is no unit of the"
            " compliance profile; nothing was published",
        )
    if message.acer_code != profile.participant.acer_code or not message.acer_code:
        raise Problem(
            "wrong-file",
            f'reference data: UMM-R-ACER at {message.id}/acerCode: "{message.acer_code}" is not the participant\'s ACER code'
            f' "{profile.participant.acer_code}"; state acer_code in the compliance profile, nothing was published',
        )
