"""The four layers of every kind of file that is filed, by kind. For drafts, for what is kept, and for computing a filing again.

Not for the checks themselves: each format has its own. Rules: a kind that is not here is a KeyError of the program, never an unchecked file.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from cloud.reports import emir, ferc, fixml, remit_checks, stor, umm, xmlfile
from cloud.reports.codes import IN_FORCE, NOTHING_KNOWN, Placed, References, check_shape
from cloud.reports.errors import ReportError
from cloud.reports.identifiers import Kind
from cloud.reports.layers import CannotRun, Fault, Layer, Validation, judged_by, validate
from cloud.reports.umm import Umm

Check = Callable[[bytes, References], Validation]


def check_feed(data: bytes, references: References = NOTHING_KNOWN) -> Validation:
    """A feed of urgent market messages. Raises ReportError for what is no XML."""
    root = xmlfile.read(data)

    def messages() -> tuple[Umm, ...]:
        try:
            return umm.read_feed(data)
        except ReportError as error:
            raise CannotRun(f"the messages cannot be read: {error}") from error

    def codes() -> Iterator[Placed]:
        for one in messages():
            told = (
                (Kind.ACER, one.acer_code, "acerCode"),
                (Kind.EIC, one.asset_eic, "affectedAssetEic"),
                (Kind.EIC, one.bidding_zone, "biddingZone"),
            )
            yield from (Placed(kind, text, f"{one.id}/{field}") for kind, text, field in told if text)

    def cross() -> Iterator[Fault]:
        for one in messages():
            for text in umm.faults(one):
                field, _, message = text.partition(": ")
                yield Fault(Layer.CROSS_FIELD, f"UMM-X-{field.upper()}", f"{one.id}/{field}", 0, message)

    by_schema = partial(xmlfile.schema_faults, root, umm.SCHEMA, "UMM-S-XSD")
    return check_shape(lambda: umm.read_feed(data), "UMM", codes, cross, references, by_schema)


CHECKS: Final[Mapping[str, Check]] = {
    "REMIT-1": remit_checks.check,
    "UMM": check_feed,
    "EMIR": emir.check,
    "CFTC-43": fixml.check,
    "CFTC-45": fixml.check,
    "FERC-EQR": lambda data, references: ferc.check(data, references=references),
    stor.KIND: stor.check,
}


def check(kind: str, data: bytes, references: References = NOTHING_KNOWN) -> Validation:
    """All four layers; a file that cannot be read fails its schema layer, and the others could not run."""
    try:
        found = CHECKS[kind](data, references)
        return found if references.named == IN_FORCE else judged_by(found, Layer.REFERENCE_DATA, f"by {references.named}")
    except ReportError as error:
        broken = Fault(Layer.SCHEMA, f"{kind}-S-READ", error.place, 0, error.message)
        return validate({Layer.SCHEMA: lambda: (broken,)})
