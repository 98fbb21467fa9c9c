"""The judges of `make faults` see what they are there to see: who finds nothing must be able to find something (X2)."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.checker import Accepted, Findings, _edges, _topics
from tests.faults.witness import Said, Witness

pytestmark = pytest.mark.requirement("X2")


def record(sequence: int, stream: str = "order/a") -> Any:
    headers = {"ce_type": "orders.order_paid.v1", "ce_subject": stream, "ce_sequence": str(sequence)}
    value = json.dumps({"n": sequence}).encode()
    return SimpleNamespace(topic="orders", headers=[(k, v.encode()) for k, v in headers.items()], value=value)


def read(witness: Witness, *sequences: int) -> None:
    for sequence in sequences:
        witness._take(record(sequence))


def test_an_event_that_comes_again_is_counted_and_told_once():
    witness, told = Witness(""), list[Said]()
    witness.tell(told.append)
    read(witness, 1, 2, 1, 2, 3, 3)
    assert (witness.records, witness.events, witness.duplicates) == (6, 3, 3)
    assert [said.sequence for said in told] == [1, 2, 3]
    assert witness.out_of_order == []


def test_an_event_that_overtakes_is_found():
    witness, told = Witness(""), list[Said]()
    witness.tell(told.append)
    read(witness, 1, 3, 2)
    assert witness.out_of_order == ["orders order/a: 3 came after 1"]
    assert [said.sequence for said in told] == [1, 2, 3]


def test_what_was_in_flight_may_stand_before_the_refill_of_a_topic_made_anew_and_nothing_else():
    witness = Witness("")
    read(witness, 1, 2, 3)
    witness._lives, witness.highest = 2, {}
    read(witness, 4, 1, 2, 4)
    assert witness.early == 1
    assert witness.out_of_order == ["orders order/a: 4 came after 2"]


class Rows:
    """A database that answers every question with the same rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    async def fetch(self, query: str) -> tuple[dict[str, Any], ...]:
        return self.rows


async def test_what_was_accepted_and_is_not_known_is_lost():
    found = Findings()
    accepted = Accepted({"orders": {"shop 1", "shop 2"}}, {}, SimpleNamespace())  # type: ignore[arg-type]
    await _edges({"orders": Rows({"key": "shop 1"})}, accepted, found)
    assert found.lost == ["orders: shop 2 was accepted and is not known"]


async def test_what_is_in_the_log_and_not_on_the_topic_is_lost():
    found, witness = Findings(), Witness("")
    read(witness, 1, 2)
    logs = {name: Rows() for name in ("warehouse", "aftersales", "notify")}
    await _topics(logs | {"orders": Rows({"stream": "order/a", "n": 3})}, witness, found)
    assert found.lost == ["topic orders: order/a ends at 2 of 3"]
    assert found.without(found) == Findings()
