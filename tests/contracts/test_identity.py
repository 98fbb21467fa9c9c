"""An order's id: the same in every service, for ever, and beside its neighbours' in every index (O1)."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.identity import order_id

pytestmark = pytest.mark.requirement("O1")

names = st.text(min_size=1, max_size=40)


def test_an_id_stays_what_it_was():
    assert order_id("my-shop", "1001") == "00000000-03e9-8871-a7ab-e1c91adca378"


@given(names, names, names, names)
def test_two_orders_never_share_an_id(source: str, number: str, other_source: str, other_number: str):
    same = (source, number) == (other_source, other_number)
    assert (order_id(source, number) == order_id(other_source, other_number)) is same


@given(st.text("1/:", min_size=1, max_size=4), st.text("1/:", min_size=1, max_size=4))
def test_what_is_moved_from_the_number_to_the_source_makes_another_id(source: str, number: str):
    assert order_id(source + number[:1], number[1:] or "1") != order_id(source, number)


@given(names, names)
def test_an_id_is_a_uuid_of_the_version_for_ones_own_layout(source: str, number: str):
    written = order_id(source, number)
    assert UUID(written).variant == RFC_4122
    assert UUID(written).version == 8
    assert str(UUID(written)) == written


@pytest.mark.parametrize("pattern", ["{}", "SO-{:07d}", "2026-11-24/{:06d}", "{:014d}"])
@given(first=st.integers(1, 999_000), steps=st.integers(1, 900))
def test_orders_that_are_counted_up_lie_in_that_order(pattern: str, first: int, steps: int):
    assert order_id("shop", pattern.format(first)) < order_id("shop", pattern.format(first + steps))


@pytest.mark.parametrize("number", ["order", "٣٤", "²", "#", "9" * 60])
def test_numbers_that_count_nothing_have_ids_too(number: str):
    assert order_id("shop", number) != order_id("shop", number + "x")
