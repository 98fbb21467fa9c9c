"""A log like Kafka's: topics with partitions, consumer groups with offsets and generations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from zlib import crc32

from shared.events.base import Event
from shared.runtime.envelope import decode_ours
from shared.runtime.messages import Incoming, Raw

Place = tuple[str, int]
"""Topic and partition."""


class Topics:
    """Records by topic and partition, in the order in which they came."""

    def __init__(self) -> None:
        self.partitions: dict[str, list[list[Raw]]] = {}
        self.appended = 0
        """Records that ever came, over all topics and their lives."""
        self.heard: dict[str, type[Event]] = {}
        """The types that any service handles."""
        self._decoded: dict[int, tuple[Incoming, Incoming]] = {}
        """By the `id` of a record, which is kept so that no other gets it: for those who hear its type, and for others."""

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic, or make it anew and empty."""
        self.partitions[topic] = [[] for _ in range(partitions)]

    def partition(self, topic: str, key: bytes) -> int:
        """Where a key belongs."""
        return crc32(key) % len(self.partitions[topic])

    def append(self, topic: str, key: bytes, headers: Sequence[tuple[str, bytes]], body: bytes) -> None:
        """Add a record to the partition of its key."""
        self.appended += 1
        logs, partition = self.partitions[topic], self.partition(topic, key)
        logs[partition].append(Raw(topic, partition, len(logs[partition]), key, tuple(headers), body))

    def records(self, place: Place) -> list[Raw]:
        """The records of one partition; none for one that is no more."""
        logs = self.partitions[place[0]]
        return logs[place[1]] if place[1] < len(logs) else []

    def decoded(self, raw: Raw, heard: Mapping[str, type[Event]]) -> Incoming:
        """A record of our services as a message for one that hears these types; decoded once, however often it is read."""
        known = self._decoded.get(id(raw))
        if known is None:
            incoming = decode_ours(raw, self.heard)
            passed = Incoming(incoming.envelope, incoming.door, incoming.lane, raw=raw)
            if incoming.error is not None:  # whoever does not hear its type reads its headers all the same
                passed = decode_ours(raw, {})
            known = self._decoded[id(raw)] = incoming, passed
        return known[0] if known[0].envelope.type in heard else known[1]


class Member(Protocol):
    """A host as its group sees it."""

    assignment: "Assignment"


@dataclass
class Assignment:
    """What a member reads: the next offset of each of its partitions, and since which rebalance."""

    generation: int = 0
    positions: dict[Place, int] = field(default_factory=dict)
    read_up_to: int = -1
    """How many records had ever come when nothing was left to read."""


class Group:
    """The replicas of one service: each partition belongs to one of them, and only that one may commit for it."""

    def __init__(self, topics: Topics, names: Sequence[str]) -> None:
        self.topics = topics
        self.names = tuple(names)
        self.generation = 0
        self.committed: dict[Place, int] = {}

    def rebalance(self, members: Sequence[Member]) -> None:
        """Share the partitions among these members, who begin where was committed last."""
        self.generation += 1
        places = [(t, p) for t in self.names for p in range(len(self.topics.partitions[t]))]
        for member in members:
            member.assignment = Assignment(self.generation)
        for number, place in enumerate(places):
            if members:
                positions = members[number % len(members)].assignment.positions
                positions[place] = self.committed.get(place, 0)

    def commit(self, generation: int, offsets: Iterable[tuple[Place, int]]) -> bool:
        """Keep offsets; refused for a member that the group has given up (False)."""
        if generation != self.generation:
            return False
        self.committed.update(offsets)
        return True

    def forget(self, topic: str) -> None:
        """The topic was deleted, and the group's offsets with it."""
        self.committed = {place: n for place, n in self.committed.items() if place[0] != topic}

    def lag(self) -> int:
        """Records that nobody has committed yet."""
        return sum(len(records) - self.committed.get(place, 0) for place, records in self._records())

    def ends(self) -> list[tuple[Place, list[Raw], int]]:
        """Where the partitions end that are not wholly committed."""
        return [
            (place, records, len(records))
            for place, records in self._records()
            if len(records) > self.committed.get(place, 0)
        ]

    def reached(self, ends: Iterable[tuple[Place, list[Raw], int]]) -> bool:
        """True when all before these ends is committed. In a topic that was made anew they mean nothing."""
        return all(
            self.committed.get(place, 0) >= end or self.topics.records(place) is not records
            for place, records, end in ends
        )

    def _records(self) -> Iterator[tuple[Place, list[Raw]]]:
        for topic in self.names:
            for number, records in enumerate(self.topics.partitions[topic]):
                yield (topic, number), records


def text(headers: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Headers as text."""
    return {name: value.decode() for name, value in headers}
