import pytest

from cloud.reports import filings
from cloud.reports.errors import ReportError
from cloud.reports.filings import Action, Answer, Filing, Reason, State

WRONG = (Reason("E-1", "/REMITTable1/TradeList/TradeReport[1]", "unknown participant"),)
NEW = filings.begun("F1", "REMIT", "aa", 2, 10)
ACCEPTED = filings.answered(NEW, Answer(1, 20, "R1"))
REJECTED = filings.answered(NEW, Answer(1, 20, "R1", WRONG))


def test_a_filing_is_sent_until_it_is_answered() -> None:
    assert [one.state for one in (NEW, ACCEPTED, REJECTED)] == [State.SENT, State.ACCEPTED, State.REJECTED]
    assert (NEW.held, REJECTED.held, ACCEPTED.held) == (None, None, NEW.versions[0])


def test_a_rejected_first_version_is_filed_again_as_new() -> None:
    again = filings.amended(REJECTED, "bb", 2, 30)
    assert (again.versions[-1].number, again.versions[-1].action) == (2, Action.NEW)


def test_an_accepted_version_is_amended_and_a_rejected_amendment_leaves_it_in_place() -> None:
    again = filings.answered(filings.amended(ACCEPTED, "bb", 2, 30), Answer(2, 40, "R2", WRONG))
    assert again.versions[-1].action is Action.AMENDMENT
    assert (again.state, again.held) == (State.REJECTED, NEW.versions[0])
    assert filings.amended(again, "cc", 2, 50).versions[-1].action is Action.AMENDMENT


def test_nothing_follows_an_accepted_cancellation() -> None:
    gone = filings.answered(filings.cancelled(ACCEPTED, "bb", 0, 30), Answer(2, 40, "R2"))
    assert (gone.state, gone.held) == (State.CANCELLED, None)
    with pytest.raises(ReportError, match="is cancelled"):
        filings.amended(gone, "cc", 1, 50)


@pytest.mark.parametrize(
    ("filing", "said"),
    [(NEW, "not answered yet"), (ACCEPTED, "same bytes")],
)
def test_a_version_does_not_follow_one_in_flight_or_with_the_same_bytes(filing: Filing, said: str) -> None:
    with pytest.raises(ReportError, match=said):
        filings.amended(filing, "aa", 2, 30)


def test_what_the_authority_does_not_hold_cannot_be_cancelled() -> None:
    with pytest.raises(ReportError, match="holds nothing"):
        filings.cancelled(REJECTED, "bb", 0, 30)


def test_a_version_is_not_made_before_the_one_it_follows() -> None:
    with pytest.raises(ReportError, match="made before"):
        filings.amended(ACCEPTED, "bb", 2, 9)


def test_the_same_answer_twice_changes_nothing_and_another_one_is_refused() -> None:
    assert filings.answered(ACCEPTED, Answer(1, 25, "R1")) == ACCEPTED
    for answer, said in ((Answer(1, 25, "R1", WRONG), "already answered"), (Answer(2, 25, "R"), "no version 2")):
        with pytest.raises(ReportError, match=said):
            filings.answered(ACCEPTED, answer)
    with pytest.raises(ReportError, match="before it was made"):
        filings.answered(NEW, Answer(1, 9, "R"))


def test_every_regime_has_a_word_for_every_action() -> None:
    assert all(set(words) == set(Action) and len(set(words.values())) == 3 for words in filings.CODES.values())
