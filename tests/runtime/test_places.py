"""How far a replica says that it is, when partitions go to another and come back (X6)."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.runtime import places as module
from shared.runtime.intake import _Drain
from shared.runtime.places import Places
from shared.runtime.tasks import end
from tests.runtime.probe import Probe
from tests.runtime.waiting import PATIENCE, until

pytestmark = pytest.mark.requirement("X6")


class Group:
    """What the consumer of one replica says: its partitions, and how far the group has come in each."""

    def __init__(self) -> None:
        self.mine = {TopicPartition("orders", 0)}
        self.offsets = {TopicPartition("orders", 0): 7}
        self.at = 7
        """How far the client has read."""

    def assignment(self) -> set[TopicPartition]:
        return self.mine

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.offsets.get(partition)

    async def position(self, partition: TopicPartition) -> int:
        return self.at

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.offsets |= offsets


def record(offset: int) -> Any:
    return SimpleNamespace(topic="orders", partition=0, offset=offset)


async def test_what_another_applied_meanwhile_counts_once_the_partition_is_back():
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)
    await places.commit([record(9)], Counter())
    assert await places.progress() == {("orders", 0): 10}
    group.offsets[TopicPartition("orders", 0)] = 60  # it stood still, and was given up for a while
    places.forget()
    assert await places.progress() == {("orders", 0): 60}


async def test_a_turn_that_ends_after_its_partition_was_taken_away_moves_nothing():
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)
    group.mine = set()
    await places.commit([record(9)], Counter())
    assert await places.progress() == {}
    assert group.offsets == {TopicPartition("orders", 0): 7}


async def test_what_is_no_record_is_passed_over_once_all_before_it_was_applied():
    """Markers of transactions: nobody applies them, and whoever waits for the end would wait for ever."""
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)
    places.given["orders", 0] = 10
    group.at = 12
    await places.pass_over()  # 7 to 9 are in hand
    assert await places.progress() == {("orders", 0): 7}
    assert group.offsets == {TopicPartition("orders", 0): 7}
    await places.commit([record(9)], Counter())
    await places.pass_over()
    assert await places.progress() == {("orders", 0): 12}
    assert group.offsets == {TopicPartition("orders", 0): 12}


async def test_an_offset_that_kafka_did_not_take_is_handed_in_again(monkeypatch: pytest.MonkeyPatch):
    """Nothing more may come for hours, and other replicas wait for what it says."""
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)
    take, group.at = group.commit, 10

    async def refuse(offsets: dict[TopicPartition, int]) -> None:
        raise KafkaError

    monkeypatch.setattr(group, "commit", refuse)
    await places.commit([record(9)], Counter())
    await places.pass_over()
    assert group.offsets == {TopicPartition("orders", 0): 7}
    monkeypatch.setattr(group, "commit", take)
    await places.pass_over()
    assert group.offsets == {TopicPartition("orders", 0): 10}
    assert not places._owed


async def test_an_offset_that_kafka_took_before_an_older_one_is_handed_in_again(
    monkeypatch: pytest.MonkeyPatch,
):
    """What it did not take is handed in beside what turns apply meanwhile, and its client may try that once more, later."""
    group, late = Group(), asyncio.Event()
    places = Places("warehouse", ["orders"], lambda: group)
    take, group.at = group.commit, 10

    async def take_late(offsets: dict[TopicPartition, int]) -> None:
        await late.wait()
        await take(offsets)

    monkeypatch.setattr(group, "commit", take_late)
    older = asyncio.create_task(places.commit([record(8)], Counter()))
    await asyncio.sleep(0)
    monkeypatch.setattr(group, "commit", take)
    await places.commit([record(9)], Counter())
    late.set()
    await older
    assert group.offsets == {TopicPartition("orders", 0): 9}
    await places.pass_over()
    assert group.offsets == {TopicPartition("orders", 0): 10}
    assert not places._owed


async def test_what_was_in_hand_when_partitions_were_given_out_anew_is_not_passed_over():
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)
    places.given["orders", 0] = group.at = 10
    places.taken += 1
    places.forget()  # read since by the new client's place, not applied yet
    await places.pass_over()
    assert await places.progress() == {("orders", 0): 7}


async def test_a_place_in_a_topic_that_is_gone_is_not_passed_on():
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)
    places.gone, group.at = {"orders"}, 12
    await places.pass_over()
    assert group.offsets == {TopicPartition("orders", 0): 7}


async def test_nothing_is_passed_over_when_partitions_move_while_it_is_asked_for():
    """What the client says then is of another place."""
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)

    async def moved(partition: TopicPartition) -> int:
        places.taken += 1
        return 12

    group.position = moved  # type: ignore[method-assign]
    await places.pass_over()
    assert group.offsets == {TopicPartition("orders", 0): 7}


class Shared(Group):
    """A topic of two partitions with seven records each; another replica, which has the second, applied three of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions: set[int] | None = {0, 1}
        self.asked = 0
        self.offsets[THEIRS] = 3

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.partitions

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        return dict.fromkeys(partitions, 7)

    def last_stable_offset(self, partition: TopicPartition) -> int:
        return 7


THEIRS = TopicPartition("orders", 1)


async def test_timers_wait_for_what_other_replicas_have_to_apply(monkeypatch: pytest.MonkeyPatch):
    """The payment of an order that is about to be closed may lie in another replica's partition."""
    monkeypatch.setattr(module, "CATCHING_UP_SECONDS", 0.01)
    group = Shared()
    waiting = asyncio.create_task(Places("warehouse", ["orders"], lambda: group).caught_up())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    group.offsets[THEIRS] = 7
    await asyncio.wait_for(waiting, PATIENCE)


async def test_timers_wait_on_while_the_client_is_replaced_or_does_not_know_its_topics_yet(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "CATCHING_UP_SECONDS", 0.01)
    group = Shared()
    group.mine, group.partitions = set(), None
    client: Shared | None = group
    waiting = asyncio.create_task(Places("warehouse", ["orders"], lambda: client).caught_up())
    await asyncio.sleep(0.1)
    group.partitions = {0, 1}
    await asyncio.sleep(0.1)
    assert not waiting.done()
    client = None
    await asyncio.sleep(0.1)
    assert not waiting.done()
    client = group
    group.offsets[THEIRS] = 7
    await asyncio.wait_for(waiting, PATIENCE)


async def test_timers_wait_while_something_is_applied_and_give_up_when_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
):
    now = seconds(monkeypatch)
    group = Shared()
    waiting = asyncio.create_task(Places("warehouse", ["orders"], lambda: group).caught_up(10))
    for far in (4, 5, 6):
        await looks(group)
        now[0] += 9
        group.offsets[THEIRS] = far
    await looks(group)
    assert not waiting.done()
    now[0] += 11
    assert not await asyncio.wait_for(waiting, PATIENCE)


async def test_once_kafka_answers_again_timers_wait_for_as_long_as_at_first(monkeypatch: pytest.MonkeyPatch):
    """Who joins its group anew applies nothing for a while."""
    now = seconds(monkeypatch)
    group: Shared | None = None
    places = Places("warehouse", ["orders"], lambda: group)
    away = asyncio.create_task(places.caught_up(3, 100))
    await asyncio.sleep(0.1)
    now[0] += 4
    assert not await asyncio.wait_for(away, PATIENCE)
    group = Shared()
    waiting = asyncio.create_task(places.caught_up(3, 100))
    await looks(group)
    now[0] += 90
    await looks(group)
    assert not waiting.done()
    now[0] += 11
    assert not await asyncio.wait_for(waiting, PATIENCE)


def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that passes for those who wait, as it is set."""
    now = [0.0]
    monkeypatch.setattr(module, "CATCHING_UP_SECONDS", 0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


async def looks(group: Shared) -> None:
    """Return when somebody has asked for the ends twice more, and so has taken in what was said the first time."""
    before = group.asked
    await until(lambda: group.asked >= before + 2)


async def test_nobody_waits_for_the_end_of_a_topic_that_was_made_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CATCHING_UP_SECONDS", 0.01)
    group = Shared()
    places = Places("warehouse", ["orders"], lambda: group)
    waiting = asyncio.create_task(places.caught_up())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    places.lives["orders"] += 2
    await asyncio.wait_for(waiting, PATIENCE)


class Cluster(Group):
    """Also says which topics there are, one answer after the other, the last again and again."""

    def __init__(self, *answers: set[str]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.looks = 0
        self.from_beginning: list[TopicPartition] = []

    async def topics(self) -> set[str]:
        self.looks += 1
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        self.from_beginning += partitions


async def watched(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Places that had ten records of the topic, seven of them applied, after all answers of the cluster."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    places = Places("warehouse", ["orders"], lambda: cluster)
    places.applied["orders", 0], places.given["orders", 0] = 7, 10
    loop = asyncio.create_task(places.watch())
    await until(lambda: len(cluster.answers) == 1 and cluster.looks > 10)
    await end([loop])
    return places


async def test_one_answer_without_a_topic_does_not_make_it_gone(monkeypatch: pytest.MonkeyPatch):
    """A broker that has just started may not know it yet; to read all of it again would take long, and what is in hand would
    not be noted."""
    cluster = Cluster({"orders"}, set(), {"orders"})
    places = await watched(cluster, monkeypatch)
    assert cluster.from_beginning == []
    assert (places.lives, places.applied) == (Counter(), {("orders", 0): 7})


async def test_nothing_of_a_topic_that_is_gone_is_taken_for_a_place_in_the_one_made_anew(
    monkeypatch: pytest.MonkeyPatch,
):
    """What was given of it would keep markers at the end of the new one from ever being passed over."""
    cluster = Cluster({"orders"}, set(), set(), {"orders"})
    places = await watched(cluster, monkeypatch)
    assert cluster.from_beginning == [TopicPartition("orders", 0)]
    assert (places.applied, places.given) == ({}, {})


async def test_a_place_that_was_asked_for_before_partitions_moved_is_not_kept():
    """Whoever had it meanwhile may have moved it on."""
    group = Group()
    places = Places("warehouse", ["orders"], lambda: group)
    ask = group.committed

    async def late(partition: TopicPartition) -> int | None:
        answer = await ask(partition)
        places.forget()
        group.offsets[partition] = 60
        group.committed = ask  # type: ignore[method-assign]
        return answer

    group.committed = late  # type: ignore[method-assign]
    await places.progress()
    assert await places.progress() == {("orders", 0): 60}


async def test_a_partition_that_went_to_another_while_it_was_asked_for_is_not_counted():
    """It would be behind for ever: in the figures of operations, and for timers that wait for what came before."""
    group = Group()
    group.mine = {TopicPartition("orders", 0), TopicPartition("orders", 1)}
    places = Places("warehouse", ["orders"], lambda: group)
    ask = group.committed

    async def late(partition: TopicPartition) -> int | None:
        group.mine = set()
        places.forget()
        return await ask(partition)

    group.committed = late  # type: ignore[method-assign]
    await places.progress()
    assert await places.progress() == {}


async def test_what_was_applied_is_asked_for_anew_when_partitions_are_given_out(probe: Probe):
    writer = await probe.writer()
    writer.intake.places.applied["orders.inbox", 0] = 7
    await _Drain(writer.intake).on_partitions_assigned(set())
    assert writer.intake.places.applied == {}


async def test_a_service_that_runs_passes_over_what_is_no_record(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """Else whoever waits for the end of a partition after a transaction of another system would wait for ever."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    writer = await probe.writer()
    looked = asyncio.Event()

    async def pass_over() -> None:
        looked.set()

    monkeypatch.setattr(writer.intake.places, "pass_over", pass_over)
    await writer.start()
    await asyncio.wait_for(looked.wait(), PATIENCE)
