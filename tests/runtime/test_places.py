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

    def assignment(self) -> set[TopicPartition]:
        return self.mine

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.offsets.get(partition)

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
