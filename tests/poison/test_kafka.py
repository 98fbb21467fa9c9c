"""What cannot be used gets its stated answer, whichever topic it lies in; nothing else changes and nobody waits (O1, X2, X4).

All of it goes into the inboxes and the topics of one running system, each bad record with a good one right behind it.
"""

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

import services.aftersales.handlers as aftersales
import services.notify.handlers as notify
import services.orders.handlers as orders
import services.warehouse.handlers as warehouse
from deploy.embedded.stack import Stack
from deploy.provision import SERVICES
from tests.builders import oid, paid, submitted
from tests.poison.inboxes import INBOXES, ORDERS, Inbox
from tests.poison.ours import SAMPLES, Stray, passing, strays, sung
from tests.poison.raw import Bytes, any_header_name
from tests.poison.records import Bad, headers, poison
from tests.poison.scene import Rows, logs, personal, query, readers, settled, stored, unwell

ACTED_ON: dict[str, set[Any]] = {
    "orders": {h.message for h in orders.CONSUMES},
    "warehouse": {h.message for h in warehouse.CONSUMES},
    "aftersales": {h.message for h in aftersales.CONSUMES},
    "notify": set(notify.service().hears.values()),
}
"""By service, the events that change something there."""
_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.timeout(240)]


@dataclass(repr=False)  # asyncio.run makes one, which takes seconds for that many megabytes
class Aftermath:
    """What the poison did."""

    sent: list[tuple[Bad | Stray, int]]
    """Each bad record and its offset, all in partition 0."""
    good: list[tuple[str, str]]
    """Topic and number of the good record behind each of them."""
    before: Rows
    after: Rows
    refusals: dict[str, tuple[str, str | None]]
    """By the id or place of what was refused: code and field."""
    parked: dict[tuple[str, str, int], tuple[str, str]]
    """By service, topic and offset: state and reason."""
    flowing: set[tuple[str, str]]
    """Service and lane of all events of ours that were taken in."""
    seen: set[tuple[str, str]]
    """Service and identity of all outside messages that were answered."""


@pytest.fixture(scope="module")
def aftermath(stack: Stack) -> Aftermath:
    return asyncio.run(_send(stack))


async def _send(stack: Stack) -> Aftermath:
    tokens = {inbox.topic: stack.token(inbox.sender) for inbox in INBOXES}
    numbers = (f"good-{n}" for n in count())
    sent: list[tuple[Bad | Stray, Any]] = []
    good: list[tuple[str, str]] = []

    async def put(topic: str, made: Any, body: bytes | None, key: bytes | None = None) -> Any:
        return await producer.send(topic, body, key=key, headers=made, partition=0)

    with any_header_name():
        async with AIOKafkaProducer(
            bootstrap_servers=stack.broker.bootstrap, max_request_size=20_000_000, linger_ms=5
        ) as producer:
            for event in (submitted("resident"), paid("resident")):
                made = headers(
                    ORDERS,
                    tokens["orders.inbox"],
                    f"resident {event.wire_type}",
                    ce_type=event.wire_type.encode(),
                )
                await put("orders.inbox", made, event.model_dump_json().encode())
            await settled(stack)
            before = await stored(stack)
            for inbox in INBOXES:
                for bad in [
                    *poison(inbox, stack.keys, tokens[inbox.topic]),
                    _named_in_binary(inbox, tokens[inbox.topic]),
                ]:
                    sent.append((bad, await put(bad.topic, bad.headers, bad.body, bad.key)))
                    good.append((inbox.topic, number := next(numbers)))
                    body = json.dumps(inbox.named(number)).encode()
                    await put(inbox.topic, headers(inbox, tokens[inbox.topic], number), body)
            for topic in SAMPLES:
                for stray in [*strays(topic), *sung(topic)]:
                    sent.append((stray, await put(topic, stray.headers, stray.body, stray.key)))
                    good.append((topic, number := next(numbers)))
                    await put(topic, *passing(topic, number))
    await settled(stack)
    return Aftermath(
        [(bad, (await future).offset) for bad, future in sent],
        good,
        before,
        await stored(stack),
        *await _found(stack),
    )


def _named_in_binary(inbox: Inbox, token: str) -> Bad:
    made = [*headers(inbox, token, f"{inbox.topic} binary"), (Bytes("\xff\xfe"), b"1")]
    return Bad(
        "a binary name of a header",
        inbox.topic,
        made,
        json.dumps(inbox.good).encode(),
        "malformed",
        "headers",
    )


async def _found(stack: Stack) -> tuple[Any, ...]:
    refusals, parked, flowing, seen = {}, {}, set(), set()
    for service in SERVICES:
        for row in await query(
            stack, service, "SELECT data FROM event_log WHERE type LIKE '%.message_refused.v1'"
        ):
            said = json.loads(row["data"])
            # what is known by its place is also by what it holds
            named = re.sub(r"^([a-z.]+/\d+/\d+)/[0-9a-f]{16}$", r"\1", said["refused"])
            refusals[named] = (said["code"], said["field"])
        for row in await query(stack, service, "SELECT state, doc FROM parked"):
            doc = json.loads(row["doc"])
            parked[service, doc["topic"], doc["offset"]] = (row["state"], doc["reason"])
        flowing |= {
            (service, r["lane"])
            for r in await query(stack, service, "SELECT lane FROM cursors WHERE sequence = 1")
        }
        seen |= {(service, r["key"]) for r in await query(stack, service, "SELECT key FROM inbox")}
    return refusals, parked, flowing, seen


@pytest.mark.requirement("O1")
@pytest.mark.parametrize("inbox", INBOXES, ids=lambda inbox: inbox.topic)
def test_each_bad_record_of_an_inbox_is_refused_by_the_stated_rule(
    aftermath: Aftermath, inbox: Inbox
) -> None:
    wrong, number = [], 0
    for bad, offset in aftermath.sent:
        if isinstance(bad, Bad) and bad.topic == inbox.topic:
            number += 1
            ids = [v.decode(errors="replace") for name, v in bad.headers if name == "ce_id" and v is not None]
            places = [f"{bad.topic}/0/{offset}", *ids]
            answer = next((aftermath.refusals[i] for i in places if i in aftermath.refusals), None)
            if answer != (bad.code, bad.field):
                wrong.append(f"{bad}: {answer} instead of {(bad.code, bad.field)}")
    assert wrong == [], "\n".join(wrong)
    assert number > 150


@pytest.mark.parametrize("topic", SAMPLES)
def test_each_stray_record_of_our_topics_is_parked_or_passed_by_every_reader(
    stack: Stack, aftermath: Aftermath, topic: str
) -> None:
    wrong, number, who = [], 0, readers(stack)[topic]
    for stray, offset in aftermath.sent:
        if isinstance(stray, Stray) and stray.topic == topic:
            number += 1
            for reader in who:
                state, reason = aftermath.parked.get((reader, topic, offset), ("passed", ""))
                end = "passed" if stray.in_body and SAMPLES[topic][0] not in ACTED_ON[reader] else stray.end
                if state != end:
                    wrong.append(f"{reader} of {stray}: {state} {reason} instead of {end}")
    assert wrong == [], "\n".join(wrong)
    assert number > 150


def test_the_good_record_behind_each_went_through(stack: Stack, aftermath: Aftermath) -> None:
    owners, who = {inbox.topic: inbox.owner for inbox in INBOXES}, readers(stack)
    late = [
        (topic, number)
        for topic, number in aftermath.good
        if topic in owners and (owners[topic], f"shop {number}") not in aftermath.seen
    ]
    late += [
        (topic, number)
        for topic, number in aftermath.good
        if topic not in owners
        and any((r, f"{topic}|order/{number}") not in aftermath.flowing for r in who[topic])
    ]
    assert late == []


def test_nothing_that_was_there_changed_and_nothing_of_the_poison_stayed(aftermath: Aftermath) -> None:
    """Staff are told of what was parked (N2): the messages of notify about that are the only other trace."""
    assert aftermath.before - aftermath.after == Counter()
    good = {oid(number) for _, number in aftermath.good}
    new = [
        row
        for row in aftermath.after - aftermath.before
        if "good-" not in row[2] and good.isdisjoint(_ID.findall(row[2]))
    ]
    assert {(service, table) for service, table, _ in new} <= {("notify", "messages")}
    assert all("event_parked" in row for _, _, row in new)


def test_all_services_live_and_are_ready(stack: Stack, aftermath: Aftermath) -> None:
    assert unwell(stack) == {}


@pytest.mark.requirement("X4")
def test_no_log_holds_anything_of_a_buyer(stack: Stack, aftermath: Aftermath) -> None:
    assert {name: personal(text)[:5] for name, text in logs(stack).items() if personal(text)} == {}


@pytest.mark.requirement("X4")
def test_no_reason_of_a_parked_message_holds_anything_of_a_buyer(aftermath: Aftermath) -> None:
    assert personal("\n".join(reason for _, reason in aftermath.parked.values())) == []
