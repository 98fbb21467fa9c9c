"""A message from outside that met a bug, until it is handled or given up: its sender stays known, and is answered (X2)."""

import time

import pytest

from shared.events.inbox import ReceiptConfirmed
from shared.runtime.messages import Raw, Status
from shared.runtime.running import Runtime
from tests.runtime.probe import Note, Probe, decoded, note, outside, parked, receipt_of

pytestmark = pytest.mark.requirement("X2")

LATER = 40 * 24 * 3600


def receipt(id: str, offset: int = 0, **headers: bytes | None) -> Raw:
    """A receipt of order n as it lies in the inbox."""
    return Raw("orders.inbox", 0, offset, b"n", tuple(outside(id, **headers)), receipt_of("n"))


async def arrive(writer: Runtime, *records: Raw) -> list[Status]:
    """What becomes of records of the inbox, in one batch."""
    return [o.status for o in await writer.turns.run(decoded(writer, *records))]


async def retried(writer: Runtime) -> list[Status]:
    """What becomes of what is parked, of one lane, when ops retry it."""
    return [o.status for o in await writer.parking.retry((await writer.parking.list_())[0].lane)]


@pytest.mark.requirement("X4")
async def test_who_sent_a_parked_message_stays_known_when_its_token_has_expired(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("1"), receipt("2", 1)) == ["parked", "queued"]
    assert [str(p.actor) for p in await writer.parking.list_()] == ["system:shop", "system:shop"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LATER)
    assert await retried(writer) == ["parked", "queued"]
    probe.broken.clear()
    assert await retried(writer) == ["done", "done"]
    assert await note(writer, "n") == Note("n", 2, (1, 1))
    actors = await writer.pool.fetch("SELECT actor_name FROM event_log WHERE type = 'orders.order_paid.v1'")
    assert [a["actor_name"] for a in actors] == ["shop", "shop"]


@pytest.mark.requirement("X4")
async def test_a_record_that_nobody_could_read_is_judged_by_its_token_once_it_can_be_read(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    writer = await probe.writer()
    with monkeypatch.context() as bug:
        bug.setattr(ReceiptConfirmed, "model_validate_json", None)
        assert await arrive(writer, receipt("1", authorization=b"Bearer forged")) == ["refused"]
        assert await arrive(writer, receipt("2", 1)) == ["parked"]
    assert [p.actor for p in await writer.parking.list_()] == [None]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LATER)
    assert await retried(writer) == ["refused"]
    assert await note(writer, "n") is None
    assert await parked(writer) == []
