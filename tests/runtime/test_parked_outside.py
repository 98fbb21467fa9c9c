"""A message from outside that met a bug, until it is handled or given up: its sender stays known, and is answered (X2)."""

import time
from dataclasses import replace
from random import Random

import pytest

from shared.events.base import Event
from shared.events.inbox import CancelAsked, ReceiptConfirmed
from shared.runtime import parking
from shared.runtime.commands import asked
from shared.runtime.envelope import LONGEST
from shared.runtime.inbox import outside as http_event
from shared.runtime.messages import Outcome, Raw, Status
from shared.runtime.parking import MendParked, SkipParked
from shared.runtime.running import Runtime
from tests.harness import refused_by
from tests.runtime.probe import Note, Probe, decoded, note, outside, paid, parked, raw, receipt_of
from tests.runtime.stand import SHOP
from tests.runtime.test_intake import refusals
from tests.runtime.test_parking import OPS

pytestmark = pytest.mark.requirement("X2")

LATER = 40 * 24 * 3600


def receipt(id: str, offset: int = 0, **headers: bytes | None) -> Raw:
    """A receipt of order n as it lies in the inbox."""
    return Raw("orders.inbox", 0, offset, b"n", tuple(outside(id, **headers)), receipt_of("n"))


async def arrive(writer: Runtime, *records: Raw) -> list[Status]:
    """What becomes of records of the inbox, in one batch."""
    return [o.status for o in await writer.turns.run(decoded(writer, *records))]


async def over_http(writer: Runtime, id: str, event: Event | None = None) -> Outcome:
    """What becomes of an event over HTTP, by default of a receipt of order n."""
    event = event or ReceiptConfirmed(source="shop", external_number="n")
    attributes = {"ce-id": id, "ce-source": "shop", "ce-type": event.wire_type}
    incoming = http_event(attributes, event.model_dump_json().encode(), SHOP, inboxes=("orders.inbox",))
    return (await writer.turns.run([incoming]))[0]


async def skip(runtime: Runtime) -> None:
    """Ops give the oldest parked message up."""
    key = (await runtime.parking.list_())[0].parked_key
    command = SkipParked(parked_key=key, reason="a test of the shop")
    (outcome,) = await runtime.turns.run([asked(command, OPS, runtime.clock.now())])
    assert outcome.status == "done"


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
    waiting = await writer.parking.list_()
    assert [str(p.actor) for p in waiting] == ["system:shop", "system:shop"]
    assert not any("authorization" in dict(p.headers) for p in waiting), "tokens are kept nowhere"
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


async def test_a_record_of_ours_that_nobody_can_read_is_known_once_it_was_skipped(probe: Probe):
    reader = await probe.reader()
    stray = Raw("orders", 0, 7, None, (), b"who am I")
    assert [o.status for o in await reader.turns.run(decoded(reader, stray))] == ["parked"]
    assert [o.status for o in await reader.turns.run(decoded(reader, stray))] == ["duplicate"]
    await skip(reader)
    good = raw(paid("a", 1), 1)
    assert [o.status for o in await reader.turns.run(decoded(reader, stray, good))] == ["duplicate", "done"]
    assert await parked(reader) == []


@pytest.mark.parametrize("length", [LONGEST // 4, LONGEST])
async def test_a_record_of_ours_can_be_parked_whatever_its_names(probe: Probe, length: int):
    """They are the key that it is parked under, which the database takes only so long: were it refused, all would stand."""
    reader = await probe.reader()
    draw = Random(length)  # so that nothing can be packed
    said = {
        f"ce_{n}": "".join(chr(0x20000 + draw.randrange(40_000)) for _ in range(length))
        for n in ("id", "source", "subject")
    }
    odd = raw(paid("b", 1), 1)
    headers = tuple((name, said[name].encode() if name in said else value) for name, value in odd.headers)
    messages = decoded(reader, replace(odd, headers=headers, body=b"{}"), raw(paid("a", 1), 1))
    assert [o.status for o in await reader.turns.run(messages)] == ["parked", "done"]


@pytest.mark.requirement("O1")
async def test_the_sender_of_a_message_that_was_skipped_learns_of_it_and_is_told_the_same_again(probe: Probe):
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("1")) == ["parked"]
    assert await refusals(writer) == []
    await skip(writer)
    assert await refusals(writer) == [("1", "skipped", None)]
    assert await arrive(writer, receipt("1")) == ["duplicate"]
    again = await over_http(writer, "1")
    assert again.refusal is not None
    assert again.refusal.told == {
        "code": "skipped",
        "detail": "it could not be handled and was given up: a test of the shop",
        "field": None,
        "status": 409,
    }
    assert await parked(writer) == []
    assert await refusals(writer) == [("1", "skipped", None)]


async def test_what_was_skipped_is_parked_anew_once_its_id_is_forgotten(probe: Probe):
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("1"), receipt("2", 1)) == ["parked", "queued"]
    await skip(writer)
    assert await retried(writer) == ["parked"]
    await skip(writer)
    await writer.pool.execute("DELETE FROM inbox")
    assert await arrive(writer, receipt("1"), receipt("2", 1)) == ["parked", "queued"]
    first = (await writer.parking.list_())[0]
    assert (first.tries, first.note) == (1, "skipped by operator:ops: a test of the shop")
    probe.broken.clear()
    assert await retried(writer) == ["done", "done"]


async def test_a_lane_goes_on_in_the_order_in_which_its_messages_came_by_whatever_partition(probe: Probe):
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("first", 9)) == ["parked"]
    assert (
        await arrive(writer, replace(receipt("second", 3), partition=1), receipt("third", 10))
        == ["queued"] * 2
    )
    assert [p.message_id for p in await writer.parking.list_()] == ["first", "second", "third"]
    await skip(writer)
    assert await arrive(writer, receipt("fourth", 0)) == ["queued"]
    assert [p.message_id for p in await writer.parking.list_()] == ["second", "third", "fourth"]


async def test_a_message_over_http_waits_behind_one_of_its_lane_and_is_answered_once_it_was_done(
    probe: Probe,
):
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("first")) == ["parked"]
    for _ in range(2):
        assert (await over_http(writer, "second")).status == "queued"
    assert await arrive(writer, receipt("third", 1)) == ["queued"]
    assert [(p.message_id, str(p.actor)) for p in await writer.parking.list_()] == [
        ("first", "system:shop"),
        ("second", "system:shop"),
        ("third", "system:shop"),
    ]
    probe.broken.clear()
    assert await retried(writer) == ["done"] * 3
    assert await note(writer, "n") == Note("n", 3, (1, 1, 1))
    assert (await over_http(writer, "second")).status == "duplicate"


async def test_nothing_overtakes_a_lane_that_is_about_to_go_on(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parking, "AT_ONCE", 1)
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("first"), receipt("second", 1)) == ["parked", "queued"]
    await skip(writer)
    probe.broken.clear()
    assert await arrive(writer, receipt("third", 2)) == ["queued"]
    assert await retried(writer) == ["done", "done"]
    assert await arrive(writer, receipt("fourth", 3)) == ["done"]


async def test_a_mended_message_is_still_the_one_that_came(probe: Probe):
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("1")) == ["parked"]
    first = (await writer.parking.list_())[0]
    body = {"source": "shop", "external_number": "m"}
    mended = MendParked(parked_key=first.parked_key, body=body, reason="their number was wrong")
    await writer.turns.run([asked(mended, OPS, writer.clock.now())])
    assert await retried(writer) == ["done"]
    assert await note(writer, "m") == Note("m", 1, (1,))
    assert await arrive(writer, receipt("1")) == ["duplicate"]


@pytest.mark.requirement("O1")
async def test_another_body_under_the_id_of_a_parked_message_is_refused_and_the_parked_one_stays(
    probe: Probe,
):
    writer = await probe.writer()
    probe.broken.add("n")
    assert await arrive(writer, receipt("1"), receipt("2", 1)) == ["parked", "queued"]
    before = await writer.parking.list_()
    other = CancelAsked(source="shop", external_number="n", reason="changed my mind")

    def under(id: str, offset: int) -> Raw:
        headers = tuple(outside(id, ce_type=other.wire_type.encode()))
        return replace(receipt(id, offset), headers=headers, body=other.model_dump_json().encode())

    for again, status in ((2, "refused"), (3, "duplicate")):  # told once, however often it is sent
        assert await arrive(writer, *(under(id, again) for id in "12")) == [status] * 2
        assert await refusals(writer) == [("1", "id_reused", "id"), ("2", "id_reused", "id")]
    assert refused_by(await over_http(writer, "1", other)) == "id_reused"
    assert await arrive(writer, receipt("1"), receipt("2", 1)) == ["duplicate"] * 2
    assert (await over_http(writer, "1")).status == "queued"
    assert await writer.parking.list_() == before
    probe.broken.clear()
    assert await retried(writer) == ["done", "done"]
    assert await arrive(writer, under("1", 4)) == ["duplicate"]
    assert len(await refusals(writer)) == 2
