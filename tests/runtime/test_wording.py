"""Whoever sent something wrong is told the rule in words, with the field and without the value (X3, X4)."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.events.inbox import OrderSubmitted, PickScanned
from shared.runtime.wording import _SPELLED, fields_of
from shared.values import Code, Contact, Currency
from tests.builders import submitted

pytestmark = [pytest.mark.requirement("X3"), pytest.mark.requirement("X4")]

PICK = {"order_id": "o-1", "barcode": "A", "quantity": 1, "scanned_at": "2026-03-02T10:00:00Z"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"barcode": ""}, "barcode: must not be empty"),
        ({"quantity": -1}, "quantity: must be 0 or more"),
        (
            {"quantity": 0},
            "body: quantity, damaged and missing are all 0: say how many pieces were taken, were damaged, or are missing",
        ),
        ({"quantity": 100_001}, "quantity: must be 100000 or less"),
        ({"quantity": "two"}, "quantity: must be a whole number"),
        ({"quantity": 1.5}, "quantity: must be a whole number"),
        ({"qty": 1}, "qty: is no field of this message; look at its spelling"),
        ({"order_id": None}, "order_id: must be text"),
        ({"order_id": "x" * 101}, "order_id: must have at most 100 characters"),
        (
            {"scanned_at": "2026-03-02T10:00:00"},
            "scanned_at: a time needs its offset from UTC, for example 2026-03-01T09:30:00+08:00",
        ),
    ],
)
def test_a_broken_rule_is_told_in_words(change: dict[str, Any], told: str):
    with pytest.raises(ValidationError) as error:
        PickScanned.model_validate(PICK | change)
    assert fields_of(error.value) == told


def test_what_is_missing_is_told_by_its_name():
    with pytest.raises(ValidationError) as error:
        PickScanned.model_validate({k: v for k, v in PICK.items() if k != "barcode"})
    assert fields_of(error.value) == "barcode: is missing"


def test_a_rule_over_the_whole_message_is_told_as_it_was_written():
    order = submitted().model_dump() | {"total": 1}
    with pytest.raises(ValidationError) as error:
        OrderSubmitted.model_validate(order)
    assert fields_of(error.value).startswith("body: total is 1, but")


@pytest.mark.parametrize(
    ("kind", "value"), [(Code, "a b"), (Currency, "cny"), (Contact, {"name": "n", "phone": "call me"})]
)
def test_a_pattern_is_told_in_words_that_name_no_value(kind: Any, value: Any):
    with pytest.raises(ValidationError) as error:
        TypeAdapter(kind).validate_python(value)
    assert any(words in fields_of(error.value) for words in _SPELLED.values())
