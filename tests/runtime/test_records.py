"""A header whose name is no text stops nobody: aiokafka alone would read its partition never again (X2)."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.embedded.broker import EmbeddedBroker
from deploy.topics import create_topics
from shared.runtime.envelope import Malformed, text_headers
from shared.runtime.messages import Raw
from shared.runtime.records import read_all_names
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
