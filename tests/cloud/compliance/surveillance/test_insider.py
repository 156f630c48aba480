import pytest

from cloud.compliance.surveillance.columns import SurveillanceError, ints
from cloud.compliance.surveillance.insider import Knowledge, Placed, inside_information
from tests.cloud.compliance.surveillance.figures import S

RESTRICTED = frozenset({7})


def placed(*rows: tuple[float, int, int, bool]) -> Placed:
    """Rows of (second, owner, instrument, planned)."""
    return Placed(
        ints(round(row[0] * S) for row in rows),
        ints(row[1] for row in rows),
        ints(row[2] for row in rows),
        ints(row[3] for row in rows) > 0,
    )


def known(published: int = 200 * S) -> Knowledge:
    return Knowledge(ints([3]), ints([100 * S]), ints([published]))


@pytest.mark.parametrize(
    ("row", "is_alert"),
    [
        ((99.999999, 7, 3, False), False),
        ((100, 7, 3, False), True),
        ((199.999999, 7, 3, False), True),
        ((200, 7, 3, False), False),
        ((150, 8, 3, False), False),
        ((150, 7, 4, False), False),
        ((150, 7, 3, True), False),
    ],
)
def test_an_order_between_knowledge_and_publication_is_an_alert(row: tuple[float, int, int, bool], is_alert: bool) -> None:
    assert len(inside_information(placed(row), known(), RESTRICTED, 1000 * S)) == is_alert


def test_an_outage_that_is_not_published_stays_open_to_the_end() -> None:
    found = inside_information(placed((1000, 7, 3, False), (100, 7, 3, False)), known(-1), RESTRICTED, 1000 * S)
    assert [alert.members for alert in found] == [(1,), (0,)]
    assert dict(found[1].measures) == {"outage": 0.0, "seconds known": 900.0}


def test_what_is_published_at_once_or_before_it_was_known() -> None:
    assert inside_information(placed((100, 7, 3, False)), known(100 * S), RESTRICTED, 1000 * S) == ()
    with pytest.raises(SurveillanceError, match="published_us"):
        known(99 * S)
