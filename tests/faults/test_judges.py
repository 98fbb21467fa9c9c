"""The judges of `make faults` see what they are there to see: who finds nothing must be able to find something (X2)."""

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from services.orders.tables import metadata
from tests.faults.checker import _commands, _edges, _orders, _topics, _wording
from tests.faults.findings import Accepted, Ended, Findings
from tests.faults.letters import delivered, judge_letters
from tests.faults.witness import Said, Witness
from tests.harness import START
from tests.served import emptied

pytestmark = pytest.mark.requirement("X2")


def record(
    sequence: int, stream: str = "order/a", *, who: str = "shop", at: datetime = START, partition: int = 0
) -> Any:
    headers = {
        "ce_type": "orders.order_paid.v1", "ce_subject": stream, "ce_sequence": str(sequence),
        "ce_time": at.isoformat(), "ce_authtype": "system", "ce_authid": who, "ce_causationid": "shop 1",
    }  # fmt: skip
    value = json.dumps({"n": sequence}).encode()
    said = [(name, text.encode()) for name, text in headers.items()]
    return SimpleNamespace(topic="orders", partition=partition, headers=said, value=value)


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


ANEW = START + timedelta(minutes=1)


def made_anew() -> Witness:
    """A witness that has read a life of the topics, and nothing yet of the next."""
    witness = Witness("")
    read(witness, 1, 2, 3)
    witness._begin_again()
    witness.lives, witness.anew = 2, ANEW
    return witness


def test_what_was_in_flight_may_stand_before_the_refill_of_a_topic_made_anew_and_nothing_else():
    witness = made_anew()
    read(witness, 4, 1, 2, 4)
    assert witness.early == 1
    assert witness.out_of_order == ["orders order/a: 4 came after 2"]


def test_what_was_in_flight_may_lie_in_the_partition_of_before():
    witness = made_anew()
    read(witness, 1, 2)
    witness._take(record(4, partition=5))
    read(witness, 3, 4)
    assert (witness.early, witness.out_of_order) == (1, [])
    assert witness.highest == {("orders", "order/a"): 4}


def test_a_stream_that_is_born_after_the_refill_begins_with_its_first_event():
    witness = made_anew()
    for sequence in (2, 1, 2):
        witness._take(record(sequence, "order/born", at=ANEW + timedelta(seconds=1)))
    assert witness.early == 0
    assert witness.out_of_order == ["orders order/born: 2 came after 0"]


class Rows:
    """A database that answers every question with the same rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    async def fetch(self, query: str, *values: Any) -> tuple[dict[str, Any], ...]:
        return self.rows


async def test_what_was_accepted_and_is_not_known_is_lost():
    found = Findings()
    accepted = Accepted(messages={"orders": {"shop 1", "shop 2"}})
    await _edges({"orders": Rows({"key": "shop 1"})}, accepted, found)
    assert found.lost == ["orders: shop 2 was accepted and is not known"]


async def test_a_command_that_was_answered_and_did_nothing_is_lost_and_one_that_was_done_twice_is_doubled():
    row = {"stream": "order/a", "type": "orders.address_confirmed.v1", "data": "{}"}
    lifted = row | {"type": "orders.hold_lifted.v1"}
    log = Rows(
        row | {"key": "once"},
        lifted | {"key": "once", "data": '{"hold":"address_unconfirmed"}'},
        lifted | {"key": "once", "data": '{"hold":"cod_unconfirmed"}'},
        row | {"key": "twice"},
        row | {"key": "twice"},
    )
    found = Findings()
    await _commands({"orders": log}, Accepted(commands={"orders": {"once", "twice", "never"}}), found)
    assert found.lost == ["orders: command never was answered and said nothing"]
    assert found.doubled == ["orders: command twice said orders.address_confirmed.v1 of order/a 2 times"]


async def test_what_is_in_the_log_and_not_on_the_topic_is_lost():
    found, witness = Findings(), Witness("")
    read(witness, 1, 2)
    logs = {name: Rows() for name in ("warehouse", "aftersales", "notify")}
    await _topics(logs | {"orders": Rows({"stream": "order/a", "n": 3})}, witness, found)
    assert found.lost == ["topic orders: order/a ends at 2 of 3"]
    assert found.without(found) == Findings()


async def test_an_event_that_says_another_thing_than_its_log_is_found():
    witness = Witness("")
    read(witness, 1, 2)
    witness._take(record(3, who="nobody"))
    row = {
        "stream": "order/a",
        "type": "orders.order_paid.v1",
        "time": START,
        "who": "system:shop",
        "causation_id": "shop 1",
    }
    said = [row | {"sequence": n, "data": json.dumps({"n": n})} for n in (1, 3)]
    other = row | {"sequence": 2, "data": json.dumps({"n": 22})}
    found = Findings()
    logs = {name: Rows() for name in ("warehouse", "aftersales", "notify")}
    await _wording(logs | {"orders": Rows(*said, other)}, witness, found)
    assert found.broken == [f"topic orders: order/a/{n} is not as its log says" for n in (3, 2)]


def test_an_event_that_comes_again_with_other_words_is_found():
    witness = Witness("")
    read(witness, 1)
    witness._take(record(1, who="nobody"))
    assert witness.otherwise == ["orders order/a/1 came again with other words"]


BOOKED = {"template": "shipped", "state": "sent", "tries": 1, "audience": "buyer", "order_id": "o-1"}
"""A letter in the books of notify."""


def lie(folder: Path, *letters: tuple[str, float], to: str = "b@example.org", by: str = "notify-1") -> None:
    """Put letters into a replica's folder, each by its id and seconds after the first."""
    (folder / by).mkdir(exist_ok=True)
    with (folder / by / "2026-03-02.jsonl").open("a") as file:
        for id, seconds in letters:
            line = {"id": id, "to": to, "at": (START + timedelta(seconds=seconds)).isoformat()}
            file.write(f"{json.dumps(line)}\n")


async def judged(folder: Path, *rows: dict[str, Any], **accepted: Any) -> Findings:
    found = Findings()
    await judge_letters(Rows(*rows), delivered(folder), Accepted(**accepted), found)
    return found


async def test_a_letter_that_is_booked_and_lies_nowhere_is_lost_and_one_that_lies_there_too_often_is_doubled(
    tmp_path: Path,
):
    lie(tmp_path, ("well", 0), ("twice", 0), ("twice", 120), ("stray", 0))
    with (tmp_path / "notify-1" / "2026-03-02.jsonl").open("a") as file:
        file.write('{"id": "cut sh')
    rows = [BOOKED | {"message_id": id} for id in ("well", "twice", "never")]
    found = await judged(tmp_path, *rows, deaths=[("notify-1", START + timedelta(seconds=1))])
    assert found.lost == ["notify: letter shipped never was never delivered"]
    assert found.doubled == [
        "notify: letter shipped twice was delivered 2 times in 1 tries",
        "notify: letter stray belongs to nothing",
    ]


@pytest.mark.parametrize(
    ("again", "died", "death", "right"),
    [
        pytest.param(120, "notify-1", 2, True, id="its sender died with it in hand"),
        pytest.param(120, "notify-1", None, False, id="nobody died"),
        pytest.param(120, "notify-2", 2, False, id="only the other sender died"),
        pytest.param(120, "notify-1", -1, False, id="its sender had died before"),
        pytest.param(120, "notify-1", 60, False, id="long booked when its sender died"),
        pytest.param(0.1, "notify-1", 2, False, id="two had it in hand at once"),
    ],
)
async def test_a_letter_leaves_again_only_after_its_sender_died_with_it_in_hand(
    tmp_path: Path, again: float, died: str, death: float | None, right: bool
):
    lie(tmp_path, ("again", again), by="notify-2")
    lie(tmp_path, ("again", 0))
    deaths = [] if death is None else [(died, START + timedelta(seconds=death))]
    found = await judged(tmp_path, BOOKED | {"message_id": "again", "tries": 2}, deaths=deaths)
    assert (found == Findings()) is right
    assert right or "and notify-1 had not died" in found.doubled[0]


async def test_a_letter_that_went_to_another_buyer_is_found(tmp_path: Path):
    lie(tmp_path, ("own", 0))
    lie(tmp_path, ("other", 0), to="c@example.org")
    order = Ended("1", canceled=False, payments=1, pieces=Counter(), reached_at="b@example.org")
    rows = [BOOKED | {"message_id": id} for id in ("own", "other")]
    found = await judged(tmp_path, *rows, orders={"o-1": order})
    assert found.broken == ["notify: letter shipped other of 1 went to somebody else"]


async def test_an_order_that_time_completed_before_its_time_is_found(postgres_url: str):
    await emptied(postgres_url, metadata)
    connection = await asyncpg.connect(postgres_url)
    for name, seconds in (("early", 1), ("in-time", 4)):
        await connection.execute(
            "INSERT INTO heard (order_id, service, type, at, actor, doc) "
            "VALUES ($1, 'warehouse', 'warehouse.shipment_delivered.v1', $2, 'service:warehouse', '{}')",
            name, START,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO event_log (stream, sequence, type, time, actor_kind, actor_name, data, previous, hash) "
            "VALUES ('order/' || $1, 1, 'orders.order_completed.v1', $2, 'service', 'orders', $3, '', '')",
            name, START + timedelta(seconds=seconds), '{"confirmed_by_buyer":false}',
        )  # fmt: skip
    found = Findings()
    await _orders(connection, Accepted(completes_after=timedelta(seconds=4)), found)
    await connection.close()
    assert found == Findings(broken=["orders: order/early was completed by time before its time"])
