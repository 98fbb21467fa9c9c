"""Records as they lie in a topic, also those whose header names are no text.

Kafka carries any bytes for the name of a header and some clients send them so; aiokafka raises on the first such name, and at
the same place again for ever: one record would keep its whole partition from being read. Here such a batch is read once more,
with what is not UTF-8 in the names replaced, so that the record can be refused or parked like every other bad one.

What cannot be read at all (a batch whose checksum is wrong) stops its own partition, and is fetched again. aiokafka alone would
drop what the same look had found in other partitions, and before it in this one, and read on behind that.
"""

import time
from collections.abc import Iterator
from typing import Any

import structlog
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 5.0
"""Between tries to fetch what cannot be read."""


def read_all_records() -> None:
    """Let every consumer of this process read so; tests/poison shows that it still takes."""
    fetcher.MemoryRecords = Records
    fetcher.PartitionRecords = _UpToBad
    fetcher.FetchResult = _Fetched


class _UpToBad(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition that were fetched; they end before what cannot be read."""

    failure: Exception | None = None

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise StopIteration from None


class _Fetched(fetcher.FetchResult):  # type: ignore[misc]
    """What a fetch brought of one partition. As long as it has more nothing else is fetched of it: so the next try waits."""

    _again = 0.0

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The records that can be read, at most so many."""
        if self._again:
            if time.monotonic() > self._again:
                self._partition_records = None
            return []
        fetched = self._partition_records
        found: list[Any] = super().getall(max_records)
        if fetched is not None and fetched.failure is not None and not found:
            place, failure = self._topic_partition, fetched.failure
            log.error("records cannot be read", topic=place.topic, partition=place.partition, offset=fetched.next_fetch_offset,
                      error=type(failure).__name__)  # fmt: skip
            self._partition_records, self._again = fetched, time.monotonic() + AGAIN_SECONDS
        return found


class Records:
    """The batches of one fetch, in place of aiokafka's `MemoryRecords`."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._records = MemoryRecords(fetched)
        self._taken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> "_Batch":
        """The next batch. Raises CorruptRecordException."""
        self._taken += 1
        return _Batch(self._records.next_batch(), self._fetched, self._taken - 1)


class _Batch:
    def __init__(self, batch: Any, fetched: bytes, place: int) -> None:
        self._batch = batch
        self._fetched = fetched
        self._place = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """The first record, of a batch that is a marker of a transaction."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter([*self._batch])
        except UnicodeDecodeError:
            slices = _Slices(self._fetched)
            for _ in range(self._place):
                slices.next_batch()
            return iter([*_Lenient(slices.next_batch())])


class _Slices(_MemoryRecordsPy):  # type: ignore[misc]
    """The bytes of each batch."""

    def next_batch(self) -> Any:
        found = self._next_slice
        self._cache_next()
        return found


class _Lenient(_DefaultRecordBatchPy):  # type: ignore[misc]
    """aiokafka's own reader in Python, over bytes that decode whatever they are."""

    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Bytes(self._buffer)


class _Bytes(bytearray):
    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return _Name(part) if isinstance(at, slice) else part


class _Name(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
