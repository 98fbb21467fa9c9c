"""What Kafka hands out is read as it is meant (X2).

A header whose name is no text stops nobody: aiokafka alone would read its partition never again. What was aborted is no record.
"""

import asyncio
from collections import OrderedDict
from struct import pack_into

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from deploy.embedded.broker import EmbeddedBroker
from deploy.topics import create_topics
from shared.runtime import records as records_module
from shared.runtime.envelope import Malformed, text_headers
from shared.runtime.messages import Raw
from shared.runtime.records import Records, read_all_records
from tests.poison.raw import Bytes, any_header_name

NAMES = ("x-plain", Bytes("x-\xff\xfe"), Bytes("caf\xe9"), "x-é")


@pytest.mark.requirement("X2")
@pytest.mark.parametrize("packed", [None, "gzip", "zstd"])
async def test_records_with_any_header_names_are_read(broker: EmbeddedBroker, packed: str | None):
    read_all_records()
    broker.start()
    await create_topics(broker.bootstrap, partitions=1)
    with any_header_name():
        async with AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap, compression_type=packed, linger_ms=20
        ) as producer:
            for _ in range(2):  # several records a batch, several batches
                sent = [await producer.send("orders", b"v", key=b"k", headers=[(n, b"1")]) for n in NAMES]
                await asyncio.gather(*sent)
    async with AIOKafkaConsumer(
        "orders", bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=20
    ) as consumer:
        records = [await consumer.getone() for _ in range(2 * len(NAMES))]
    assert [r.offset for r in records] == list(range(8))
    assert [name for r in records for name, _ in r.headers] == ["x-plain", "x-��", "caf�", "x-é"] * 2
    assert {(r.key, r.value) for r in records} == {(b"k", b"v")}


@pytest.mark.requirement("X2")
def test_such_a_name_makes_the_record_malformed():
    with pytest.raises(Malformed, match="not UTF-8"):
        text_headers(Raw("orders", 0, 0, None, (("caf\ufffd", b"1"),), b""))


def batch(offset: int, *values: bytes, marker: bool = False) -> bytes:
    """A batch of a transaction as Kafka hands it out, or the marker that ends one without effect."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2, compression_type=0, is_transactional=1, producer_id=7, producer_epoch=0, base_sequence=0, batch_size=9999
    )  # fmt: skip
    for number, value in enumerate(values):
        builder.append(number, 0, b"\0\0\0\0" if marker else b"k", value, [])
    built = bytearray(builder.build())
    pack_into(">q", built, 0, offset)
    built[22] |= 0x20 * marker
    return bytes(built)


@pytest.mark.requirement("X2")
def test_records_of_a_transaction_that_was_aborted_are_passed_over():
    fetched = batch(0, b"a", b"b") + batch(2, b"", marker=True) + batch(3, b"c")
    place = TopicPartition("orders.inbox", 0)
    read = PartitionRecords(place, Records(fetched), [(7, 0)], 0, None, None, False, READ_COMMITTED)
    assert [(record.offset, record.value) for record in read] == [(3, b"c")]
    assert read.next_fetch_offset == 4


class Fetched:
    """What aiokafka's fetcher has in hand of some partitions, without a broker."""

    def __init__(self, *places: TopicPartition) -> None:
        read_all_records()
        subscriptions = SubscriptionState()
        subscriptions.subscribe({p.topic for p in places})
        subscriptions.assign_from_subscribed(list(places))
        self.assignment = subscriptions.subscription.assignment
        for place in places:
            self.assignment.state_value(place).reset_to(0)
        self.fetcher = fetcher.Fetcher.__new__(fetcher.Fetcher)
        self.fetcher.__dict__.update(
            _records=OrderedDict(), _subscriptions=subscriptions, _wait_consume_future=None, _fetch_waiters=set(), _closed=False
        )  # fmt: skip

    def bring(self, place: TopicPartition, fetched: bytes) -> None:
        """The answer of the broker, from where the partition is."""
        at = self.assignment.state_value(place).position
        records = fetcher.PartitionRecords(place, Records(fetched), [], at, None, None, True, READ_COMMITTED)
        self.fetcher._records[place] = fetcher.FetchResult(
            place, assignment=self.assignment, partition_records=records, backoff=0
        )

    async def look(self) -> dict[str, list[int]]:
        found = await self.fetcher.fetched_records((), 0, 500)
        return {place.topic: [record.offset for record in records] for place, records in found.items()}

    def to_fetch(self) -> set[str]:
        """Topics of which the client would ask for more."""
        return {p.topic for p in self.assignment.tps if p not in self.fetcher._records}


def spoiled(fetched: bytes) -> bytes:
    return fetched[:-1] + bytes([fetched[-1] ^ 0xFF])


@pytest.mark.requirement("X2")
async def test_what_cannot_be_read_stops_its_own_partition_and_loses_nothing(monkeypatch: pytest.MonkeyPatch):
    """aiokafka alone drops what it found before it, there and in other partitions, and reads on behind that."""
    good, bad = TopicPartition("orders", 0), TopicPartition("warehouse", 0)
    client = Fetched(good, bad)
    monkeypatch.setattr(records_module, "AGAIN_SECONDS", 0.05)
    client.bring(good, batch(0, b"a", b"b"))
    client.bring(bad, batch(0, b"c") + spoiled(batch(1, b"d")))
    assert await client.look() == {"orders": [0, 1], "warehouse": [0]}
    assert client.to_fetch() == {"orders", "warehouse"}

    client.bring(good, batch(2, b"e"))
    client.bring(bad, spoiled(batch(1, b"d")))
    assert await client.look() == {"orders": [2]}
    assert client.to_fetch() == {"orders"}, "it waits a while before it tries again"
    await asyncio.sleep(0.06)
    assert await client.look() == {}
    assert client.to_fetch() == {"orders", "warehouse"}

    client.bring(bad, batch(1, b"d"))
    assert await client.look() == {"warehouse": [1]}
