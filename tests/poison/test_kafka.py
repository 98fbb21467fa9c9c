"""What cannot be used gets its stated answer, whichever topic it lies in; nothing else changes and nobody waits (O1, X2, X4).

All of it goes into the inboxes and the topics of one running system, each bad record with a good one right behind it.
"""

import asyncio
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count, cycle
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
from tests.poison.bodies import CANARY, carries, numbered
from tests.poison.inboxes import INBOXES, ORDERS, Inbox
from tests.poison.ours import SAMPLES, Stray, passing, strays, sung
from tests.poison.raw import Bytes, any_header_name
from tests.poison.records import KEYS, Bad, headers, in_order, poison
from tests.poison.reused import twins
from tests.poison.scene import Rows, leaked, personal, query, readers, settled, stored, tried_again, unwell

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
    rows: dict[str, list[str]]
    """By inbox, the ids of the good records about one thing, each under another key."""
    refusals: dict[str, tuple[str, str | None]]
    """By the id or place of what was refused: code and field, the last where its id was used twice."""
    answers: dict[str, list[int]]
    """By the id or place of what was sent: where in the log of its service lies what it led to."""
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
    numbers, keys = (f"good-{n}" for n in count()), cycle(KEYS)
    sent: list[tuple[Bad | Stray, Any]] = []
    good: list[tuple[str, str]] = []
    rows: dict[str, list[str]] = {}

    async def put(topic: str, made: Any, body: bytes | None, key: bytes | None = None) -> Any:
        return await producer.send(topic, body, key=key, headers=made, partition=0)

    async def hand_in(inbox: Inbox, id: str, wire_type: str, body: bytes, key: bytes | None) -> None:
        made = headers(inbox, tokens[inbox.topic], id, ce_type=wire_type.encode())
        await put(inbox.topic, made, body, key)

    with any_header_name():
        async with AIOKafkaProducer(
            bootstrap_servers=stack.broker.bootstrap, max_request_size=20_000_000, linger_ms=5
        ) as producer:
            for event in (submitted("resident"), paid("resident")):
                body = event.model_dump_json().encode()
                await hand_in(ORDERS, f"resident {event.wire_type}", event.wire_type, body, None)
            for inbox in INBOXES:
                for twin in twins(inbox):
                    await hand_in(inbox, twin.id, *twin.first, None)
            await settled(stack)
            before = await stored(stack)
            for inbox in INBOXES:
                row = [(f"good-{inbox.topic} {n}", *one) for n, one in enumerate(in_order(inbox))]
                rows[inbox.topic] = [id for id, *_ in row]
                for bad in [
                    *poison(inbox, stack.keys, tokens[inbox.topic]),
                    _named_in_binary(inbox, tokens[inbox.topic]),
                ]:
                    marked = numbered(bad.body, len(sent))
                    sent.append((bad, await put(bad.topic, bad.headers, marked, bad.key)))
                    good.append((inbox.topic, number := next(numbers)))
                    body = json.dumps(inbox.named(number)).encode()
                    await hand_in(inbox, number, inbox.event.wire_type, body, next(keys))
                    if row:
                        await hand_in(inbox, *row.pop(0))
            for topic in SAMPLES:
                for stray in [*strays(topic), *sung(topic)]:
                    marked = numbered(stray.body, len(sent))
                    sent.append((stray, await put(topic, stray.headers, marked, stray.key)))
                    good.append((topic, number := next(numbers)))
                    await put(topic, *passing(topic, number))
    await settled(stack)
    return Aftermath(
        [(bad, (await future).offset) for bad, future in sent],
        good,
        before,
        await stored(stack),
        rows,
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
    answers: dict[str, list[int]] = defaultdict(list)
    for service in SERVICES:
        for row in await query(
            stack, service, "SELECT position, type, causation_id, data FROM event_log ORDER BY position"
        ):
            answers[_named(row["causation_id"])].append(row["position"])
            if row["type"].endswith(".message_refused.v1"):
                said = json.loads(row["data"])
                refusals[_named(said["refused"])] = (said["code"], said["field"])
        for row in await query(stack, service, "SELECT state, doc FROM parked"):
            doc = json.loads(row["doc"])
            parked[service, doc["topic"], doc["offset"]] = (row["state"], doc["reason"])
        flowing |= {
            (service, r["lane"])
            for r in await query(stack, service, "SELECT lane FROM cursors WHERE sequence = 1")
        }
        seen |= {(service, r["key"]) for r in await query(stack, service, "SELECT key FROM inbox")}
    return refusals, answers, parked, flowing, seen


def _named(name: str) -> str:
    """What is known by its place is also by what it holds."""
    return re.sub(r"^([a-z.]+/\d+/\d+)/[0-9a-f]{16}$", r"\1", name)


def _names(bad: Bad | Stray, offset: int) -> list[str]:
    """What a record may be known by: its place, or its id."""
    ids = [v.decode(errors="replace") for name, v in bad.headers if name == "ce_id" and v is not None]
    return [f"{bad.topic}/0/{offset}", *ids]


@pytest.mark.requirement("O1")
@pytest.mark.parametrize("inbox", INBOXES, ids=lambda inbox: inbox.topic)
def test_each_bad_record_of_an_inbox_is_refused_by_the_stated_rule(
    aftermath: Aftermath, inbox: Inbox
) -> None:
    wrong, number = [], 0
    for bad, offset in aftermath.sent:
        if isinstance(bad, Bad) and bad.topic == inbox.topic:
            number += 1
            names = _names(bad, offset)
            answer = next((aftermath.refusals[n] for n in names if n in aftermath.refusals), None)
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


@pytest.mark.parametrize("inbox", INBOXES, ids=lambda inbox: inbox.topic)
def test_no_good_record_waits_for_a_bad_one(aftermath: Aftermath, inbox: Inbox) -> None:
    """Each is answered before whatever was sent behind it: none was put aside, and none came by again."""
    told: list[int] = []
    for (bad, offset), (_, number) in zip(aftermath.sent, aftermath.good, strict=True):
        if bad.topic == inbox.topic:
            told += next(
                (aftermath.answers[n][-1:] for n in _names(bad, offset) if n in aftermath.answers), []
            )
            told += aftermath.answers.get(number, [])[:1]  # of an early report nothing is told yet
    assert told == sorted(told)
    assert len(told) > 150


def test_nothing_was_tried_again_or_waited_for(stack: Stack, aftermath: Aftermath) -> None:
    assert tried_again(stack) == []


@pytest.mark.parametrize("inbox", INBOXES, ids=lambda inbox: inbox.topic)
def test_records_about_one_thing_are_taken_in_their_order_under_any_keys(
    aftermath: Aftermath, inbox: Inbox
) -> None:
    row = aftermath.rows[inbox.topic]
    assert len(row) == len(KEYS)
    assert sorted(row, key=lambda id: aftermath.answers[id][0]) == row


def test_nothing_that_was_there_changed_and_nothing_of_the_poison_stayed(aftermath: Aftermath) -> None:
    """Staff are told of what was parked (N2): the messages of notify about that are the only other trace."""
    assert aftermath.before - aftermath.after == Counter()
    good = {oid(number) for _, number in aftermath.good} | {oid("good-row")}
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
def test_no_log_holds_anything_of_a_buyer_a_body_or_a_token(stack: Stack, aftermath: Aftermath) -> None:
    bodies = [bad.body for bad, _ in aftermath.sent if bad.body]
    assert sum(map(carries, bodies)) > 0.9 * len(bodies)
    tokens = [
        v.decode(errors="replace")
        for bad, _ in aftermath.sent
        for n, v in bad.headers
        if v and n == "authorization"
    ]
    assert len(set(tokens)) > 100
    assert leaked(stack, tokens) == {}


@pytest.mark.requirement("X4")
def test_no_reason_of_a_parked_message_holds_anything_of_a_buyer_or_a_body(aftermath: Aftermath) -> None:
    reasons = "\n".join(reason for _, reason in aftermath.parked.values())
    assert personal(reasons) == []
    assert CANARY not in reasons
