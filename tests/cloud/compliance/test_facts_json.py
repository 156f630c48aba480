import json
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import document
from cloud.compliance import facts_json
from cloud.compliance.facts import Derivative, FuturesPosition, Outage, Party
from cloud.compliance.kinds import KINDS
from cloud.compliance.rules import facts_hash
from cloud.compliance.trace import plain_facts
from cloud.document import DocumentError
from tests.cloud.compliance import us_cases
from tests.cloud.compliance.test_table import CASES

NOW_US = 1_795_000_000_000_000  # 2026-11-18


@pytest.mark.parametrize("case", [case for case in CASES if '""' not in json.dumps(facts_json.write(case.facts))], ids=str)
def test_facts_of_every_case_come_back_as_they_were_written(case: Any) -> None:
    text = json.dumps(facts_json.write(case.facts))
    assert facts_json.read(type(case.facts), document.parse(text), NOW_US) == case.facts


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_kind_can_be_handed_in_and_its_fields_have_readers(kind: type) -> None:
    assert set(facts_json.readers(kind)) == {one.name for one in fields(kind)} == set(get_type_hints(kind))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        (Derivative, [], "facts: expected an object"),
        (Derivative, {"cleard": True}, 'unknown key "cleard", did you mean "cleared"?'),
        (Derivative, {"cleared": 1}, "facts.cleared: expected true or false"),
        (Derivative, {"executed_on": "2026-02-30"}, "facts.executed_on: expected a day"),
        (Derivative, {"party": "NFC"}, "facts.party: expected one of FC, NFC+, NFC-"),
        (Derivative, {"leis": "x"}, "facts.leis: expected a list"),
        (Derivative, {"leis": ["a", 2]}, "facts.leis.1: expected a text"),
        (Derivative, {"holidays": ["2026-01-01", "2026-01-01"]}, "facts.holidays: expected each once"),
        (Derivative, {"executed_on": "2026-01-02", "reported_on": "2026-01-01"}, "facts.reported_on: 2026-01-01 is before executed_on"),
        (FuturesPosition, {"limit_lots": 6000}, "facts.limit_lots: expected a number as text"),
        (FuturesPosition, {"limit_lots": "-1"}, "facts.limit_lots: expected nothing negative"),
        (FuturesPosition, {"accounts": [{"net_lots": "1", "owned_pct": "101", "controlled": None}]}, "facts.accounts.0.owned_pct: expected at most"),
        (FuturesPosition, {"accounts": [{"owned_pct": "1"}]}, "facts.accounts.0.net_lots: missing"),
        (Outage, {"known_us": 1e9}, "facts.known_us: expected a whole number"),
        (Outage, {"known_us": 1 << 60}, "facts.known_us: expected a whole number from"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_refused_by_name(kind: type, given: Any, says: str) -> None:
    with pytest.raises(DocumentError) as caught:
        facts_json.read(kind, given, NOW_US)
    assert says in str(caught.value)


def test_until_when_one_knows_is_the_readers_unless_the_document_says_it() -> None:
    assert facts_json.read(Derivative, {"party": "FC", "checked_on": None}, NOW_US) == Derivative(
        checked_on=date(2026, 11, 18), party=Party.FC
    )
    assert facts_json.read(Derivative, {"checked_on": "2026-01-01"}, NOW_US).checked_on == date(2026, 1, 1)
    assert facts_json.read(Outage, {}, NOW_US).checked_us == NOW_US


def test_what_an_account_does_not_say_is_not_known() -> None:
    found = facts_json.read(FuturesPosition, {"accounts": [{"net_lots": "1"}]}, NOW_US)
    assert found.accounts[0].owned_pct is None


@given(st.text(max_size=40), st.integers(-(2**60), 2**60), st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_the_hash_of_facts_is_that_of_their_canonical_document(text: str, number: int, amount: Decimal) -> None:
    facts = replace(us_cases.SWAP, uti=text, leis=(text, str(number)))
    other = replace(us_cases.COMPANY, employees=abs(number), turnover_eur=abs(amount))
    for one in (facts, other):
        canonical = document.encode({"kind": type(one).__name__, "facts": plain_facts(one)})
        assert facts_hash(one) == document.digest(canonical).hex()


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    st.sampled_from(sorted(KINDS)),
    st.data(),
)
def test_nothing_but_a_document_error_comes_of_a_wrong_value(value: Any, kind: str, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(facts_json.readers(KINDS[kind]))))
    try:
        found = facts_json.read(KINDS[kind], {key: value}, NOW_US)
    except DocumentError as error:
        assert "facts" in str(error)
    else:
        assert isinstance(found, KINDS[kind])
