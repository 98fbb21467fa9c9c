"""What a service only passes shares its turns, and keeps nothing waiting; nothing of it is passed over (X2, X6)."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.events.orders import OrderCompleted
from shared.runtime import gathering
from shared.runtime.places import Places
from shared.runtime.running import Runtime
from tests.runtime.probe import Note, Probe, note, paid, raw
from tests.runtime.waiting import until

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.requirement("X6")]


async def passing(probe: Probe, *orders: str) -> None:
    """Events that the reader does not act on, each the first of its order."""
    for order_id in orders:
        record = raw(paid(order_id, 1), 1)
        headers = [(n, OrderCompleted.wire_type.encode() if n == "ce_type" else v) for n, v in record.headers]
        await probe.send("orders", (headers, record.body))


async def acted_on(probe: Probe, order_id: str) -> None:
    record = raw(paid(order_id, 1), 1)
    await probe.send("orders", (record.headers, record.body))


async def passed(runtime: Runtime, *orders: str) -> bool:
    lanes = [f"orders|order/{order_id}" for order_id in orders]
    there = await runtime.pool.fetchval("SELECT count(*) FROM cursors WHERE lane = ANY($1)", lanes)
    return bool(there == len(orders))


def given(runtime: Runtime) -> int:
    return sum(runtime.intake.places.given.values())


async def all_read(runtime: Runtime) -> bool:
    return not any((await runtime.lag()).values())


def assigned(runtime: Runtime) -> bool:
    return bool(runtime.intake.consumer and runtime.intake.consumer.assignment())


async def gathers_one(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A reader that gathers for longer than any test lasts, and has one record."""
    monkeypatch.setattr(gathering, "PASSING_SECONDS", 60)
    await probe.topics()
    reader = await probe.reader()
    await reader.start()
    await passing(probe, "a")
    await until(lambda: given(reader) == 1)
    return reader


async def test_what_nobody_acts_on_waits_for_what_is_and_shares_its_turn(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    reader = await gathers_one(probe, monkeypatch)
    await passing(probe, "b", "c")
    await until(lambda: given(reader) == 3)
    assert reader.intake.batches == 0
    await acted_on(probe, "n")
    await until(lambda: note(reader, "n"))
    assert await note(reader, "n") == Note("n", 1, (1,))
    assert await passed(reader, "a", "b", "c")
    assert reader.intake.batches == 1


async def test_it_waits_for_a_moment_only(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gathering, "PASSING_SECONDS", 0.2)
    await probe.topics()
    reader = await probe.reader()
    await reader.start()
    await passing(probe, "a")
    await until(lambda: passed(reader, "a"))


async def test_what_was_gathered_is_in_hand_before_a_failure_of_the_client_is_met(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    reader = await gathers_one(probe, monkeypatch)
    getmany = reader.intake.consumer.getmany

    async def fail(**_: object) -> None:
        reader.intake.consumer.getmany = getmany
        raise KafkaError

    reader.intake.consumer.getmany = fail
    await passing(probe, "b")  # ends the look that goes on
    await until(lambda: passed(reader, "a"))


async def test_what_was_gathered_when_partitions_move_is_read_again_by_whoever_has_them(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    first = await gathers_one(probe, monkeypatch)
    taken = first.intake.places.taken
    other = await probe.reader()
    await other.start()
    await until(lambda: first.intake.places.taken > taken)
    await until(lambda: all(assigned(reader) for reader in (first, other)))
    assert not await passed(first, "a")
    await acted_on(probe, "n")
    await until(lambda: note(first, "n"))
    await until(lambda: passed(first, "a"))
    await until(lambda: all_read(first))


async def test_a_look_that_found_nothing_after_partitions_moved_is_no_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gathering, "PASSING_SECONDS", 0.1)
    places = Places("reader", ["orders"], lambda: None)
    record = SimpleNamespace(topic="orders", offset=0, headers=())

    class Client:
        found: ClassVar = [{TopicPartition("orders", 0): [record]}]

        async def getmany(self, **_: object) -> object:
            if self.found:
                return self.found.pop()
            places.taken += 1
            return {}

    gathered = await gathering.Gathering(places, (), 10, patient=True).next(Client())
    assert [read.records for read in gathered] == [[record]]
