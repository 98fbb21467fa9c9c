"""Records as they lie in a topic, also those whose header names are no text.

Kafka carries any bytes for the name of a header and some clients send them so; aiokafka raises on the first such name, and at
the same place again for ever: one record would keep its whole partition from being read. Here such a batch is read once more,
with what is not UTF-8 in the names replaced, so that the record can be refused or parked like every other bad one.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


def read_all_names() -> None:
    """Let every consumer of this process read such records; tests/poison shows that it still takes."""
    fetcher.MemoryRecords = Records


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
