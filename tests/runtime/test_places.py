"""How far a replica says that it is, when partitions go to another and come back (X6)."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.runtime.places import Places

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
