"""What a broker keeps on its disk, topic by topic, as it says itself. aiokafka has no words for the question."""

from collections import Counter
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

_TEXT = String("utf-8")


class _LogDirs(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(
            ("error_code", Int16),
            ("log_dir", _TEXT),
            ("topics", Array(
                ("name", _TEXT),
                ("partitions", Array(
                    ("partition", Int32), ("size", Int64), ("offset_lag", Int64), ("is_future", Boolean),
                )),
            )),
        )),
    )  # fmt: skip


class _Describe(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _LogDirs
    SCHEMA = Schema(("topics", Array(("topic", _TEXT), ("partitions", Array(Int32)))))


class _DescribeLogDirs(Request[_Describe]):  # type: ignore[misc]
    API_KEY = 35

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(None)  # of all topics


async def kept_bytes(kafka: str) -> Counter[str]:
    """Bytes of each topic's records on the one node that there is, indexes left out."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        answer = await admin._send_request(_DescribeLogDirs())
    finally:
        await admin.close()
    kept: Counter[str] = Counter()
    for _, _, topics in answer.results:
        for name, partitions in topics:
            kept[name] += sum(size for _, size, *_ in partitions)
    return kept
