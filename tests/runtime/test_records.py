"""What Kafka hands out is read as it is meant (X2).

A header whose name is no text stops nobody: aiokafka alone would read its partition never again. What was aborted is no record.
"""

import asyncio
from struct import pack_into

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from deploy.embedded.broker import EmbeddedBroker
from deploy.topics import create_topics
from shared.runtime.envelope import Malformed, text_headers
from shared.runtime.messages import Raw
from shared.runtime.records import Records, read_all_names
from tests.poison.raw import Bytes, any_header_name

NAMES = ("x-plain", Bytes("x-\xff\xfe"), Bytes("caf\xe9"), "x-é")


@pytest.mark.requirement("X2")
@pytest.mark.parametrize("packed", [None, "gzip", "zstd"])
async def test_records_with_any_header_names_are_read(broker: EmbeddedBroker, packed: str | None):
    read_all_names()
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
