"""The judges of `make faults` see what they are there to see: who finds nothing must be able to find something (X2)."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from deploy.play.script import write
from services.orders.tables import metadata
from tests.faults.checker import Accepted, Findings, _edges, _letters, _orders, _topics, _wording, delivered
from tests.faults.cluster import COMPLETES_AFTER
from tests.faults.load import Load, Step
from tests.faults.witness import Said, Witness
from tests.harness import START
from tests.served import emptied

pytestmark = pytest.mark.requirement("X2")


def record(sequence: int, stream: str = "order/a", who: str = "shop") -> Any:
    headers = {
        "ce_type": "orders.order_paid.v1", "ce_subject": stream, "ce_sequence": str(sequence),
        "ce_time": "2026-03-02T01:00:00+00:00", "ce_authtype": "system", "ce_authid": who, "ce_causationid": "shop 1",
    }  # fmt: skip
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
    witness.lives, witness.highest = 2, {}
    read(witness, 4, 1, 2, 4)
    assert witness.early == 1
    assert witness.out_of_order == ["orders order/a: 4 came after 2"]


class Rows:
    """A database that answers every question with the same rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    async def fetch(self, query: str, *values: Any) -> tuple[dict[str, Any], ...]:
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


async def test_a_letter_that_is_booked_and_lies_nowhere_is_lost_and_one_that_lies_there_too_often_is_doubled(
    tmp_path: Path,
):
    lines = [
        json.dumps({"id": id, "to": "b"}) for id in ("well", "again", "again", "twice", "twice", "stray")
    ]
    (tmp_path / "2026-03-02.jsonl").write_text("\n".join(lines) + '\n{"id": "cut sh')
    row = {"template": "shipped", "state": "sent", "tries": 1, "audience": "buyer", "order_id": "o-1"}
    rows = [row | {"message_id": id} for id in ("well", "twice", "never")] + [
        row | {"message_id": "again", "tries": 2}
    ]
    found = Findings()
    await _letters(Rows(*rows), delivered(tmp_path), Accepted({}, {}, Counter()), found)
    assert found.lost == ["notify: letter shipped never was never delivered"]
    assert found.doubled == [
        "notify: letter shipped twice was delivered 2 times in 1 tries",
        "notify: letter stray belongs to nothing",
    ]


async def test_a_letter_that_went_to_another_buyer_is_found(tmp_path: Path):
    first, second = write("run", 20, 1, START)[:2]
    sent = {"own": first.order.personal.contact.email, "other": second.order.personal.contact.email}
    lines = [json.dumps({"id": id, "to": to}) for id, to in sent.items()]
    (tmp_path / "2026-03-02.jsonl").write_text("\n".join(lines))
    row = {
        "template": "shipped",
        "state": "sent",
        "tries": 1,
        "audience": "buyer",
        "order_id": first.order_id,
    }
    found = Findings()
    rows = [row | {"message_id": id} for id in sent]
    await _letters(Rows(*rows), delivered(tmp_path), Accepted({}, {first.order_id: first}, Counter()), found)
    assert found.broken == [f"notify: letter shipped other of {first.number} went to somebody else"]


async def test_what_kafka_acknowledged_is_not_sent_again_until_its_topic_is_made_anew():
    sent = list[str]()

    class Taking:
        async def offer(self, event: Any, actor: Any, id: str) -> bool:
            sent.append(id)
            return len(sent) > 1

    witness = Witness("")
    load = Load(Taking(), witness, 1, 1.0)  # type: ignore[arg-type]
    load.draw = SimpleNamespace(random=lambda: 1.0)  # type: ignore[assignment]
    step = Step(None, None, "a", lambda said: False)  # type: ignore[arg-type]
    for _ in range(4):
        await load._offer(step)
    assert sent == ["a", "a"], "once more, for the first was not acknowledged"
    witness.lives += 1
    await load._offer(step)
    assert len(sent) == 3


async def test_an_order_that_time_completed_before_its_time_is_found(postgres_url: str):
    await emptied(postgres_url, metadata)
    connection = await asyncpg.connect(postgres_url)
    for name, seconds in (("early", 1), ("in-time", COMPLETES_AFTER)):
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
    await _orders(connection, Accepted({}, {}, SimpleNamespace()), found)  # type: ignore[arg-type]
    await connection.close()
    assert found == Findings(broken=["orders: order/early was completed by time before its time"])
