"""Writes what aiokafka's producer refuses to write and other clients do: header names that are no text."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class Bytes(str):
    """A header's name that goes onto the wire as these bytes."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1")


@contextmanager
def any_header_name() -> Iterator[None]:
    """Producers made inside build their batches in Python, which does not insist on plain strings."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (message_accumulator, producer):
            patch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        yield
