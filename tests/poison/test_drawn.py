"""A running system, fuzzed from what it says of itself: requests from its OpenAPI descriptions, events from their schemas.

Never a 5xx, every refusal a problem document. Whatever well-formed events come in over Kafka, PostgreSQL can hold what they
lead to, at once and in the weeks after: what a store in memory takes may be more than an index or a column does.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from deploy.embedded.stack import Stack
from deploy.play.edges import Edges
from deploy.play.pace import WATCHER, Pace
from deploy.play.targets import embedded
from deploy.provision import SERVICES
from shared.events.base import Event, topic_of
from shared.events.inbox import (
    CheckFinishScanned,
    CheckScanned,
    CheckStartScanned,
    HandOverScanned,
    PackScanned,
    PickScanned,
    PickStartScanned,
    StockScanned,
)
from shared.runtime.http import ProblemDocument
from shared.runtime.inbox import LARGEST
from shared.values import Actor, ActorKind, Role
from tests.builders import confirmed, lines, oid, paid, submitted
from tests.harness import SHOP, START
from tests.poison.scene import leaked, logs, query, tried_again, unwell
from tests.poison.seeds import fuzz, seeded
from tests.poison.strategies import ALPHABETS, INBOX_EVENTS, Known, events_of, longest, longest_of
from tests.town import CHECKER, COURIER, PICKER

pytestmark = [pytest.mark.requirement("X3"), pytest.mark.timeout(240)]

EXAMPLES = {"a": 2, "fresh": 4}
"""By seed, for each operation, of each kind."""
EVENTS = 6
"""Of each class, usual ones and longest ones, from each seed. All is drawn first and sent together: what is found is shown as
it is, and not made smaller."""
NOW = START + timedelta(days=35)
"""Later than most of the times that are drawn."""
LATER = timedelta(days=40)
FILLED = st.sampled_from(("", *(longest(alphabet, 180) for alphabet in ALPHABETS[:4])))
"""What makes ids as long as they may be, in letters of one to four bytes."""
Sent = list[tuple[Event, Actor, str, str, str]]
"""Event, who sends it, id, source and correlation id."""
SCANNER = Actor(kind=ActorKind.OPERATOR, name="li.wei", role=Role.ADMINISTRATOR, device="scanner-1")
"""May ask for everything, scans too."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(clock_start=NOW) as stack:
        yield stack


@pytest.mark.requirement("X2")
@pytest.mark.requirement("O1")
@seeded
def test_any_events_can_be_held(stack: Stack, seed: str) -> None:
    asyncio.run(_play(stack, seed))
    assert unwell(stack) == {}
    assert tried_again(stack) == []


async def _play(stack: Stack, seed: str) -> None:
    target = embedded(stack)
    async with Edges(target) as edges, Pace(edges) as pace:
        now = datetime.fromisoformat((await edges.get("orders", "/ops/progress", WATCHER))["clock"])
        known = await _begin(edges, pace, seed, now)
        drawn = _greatest(seed, now) + _drawn(seed, known)
        for event, actor, id, source, correlation in drawn:
            topic, record = edges.record(event, actor, id=id, source=source)
            record["headers"].append(("ce_correlationid", correlation.encode()))
            await edges.producer.send(topic, **record)
        await edges.producer.flush()
        await pace.settled()
        await _all_is_held(stack, drawn)
        await pace.move_to(now + LATER)
        await pace.settled()
        await _all_is_held(stack, drawn)


async def _begin(edges: Edges, pace: Pace, seed: str, now: datetime) -> Known:
    """One order that is shipped, one that is being picked, one that is placed; and what of them an event may name."""
    shipped, picked, placed = numbers = tuple(f"{seed}-{n}" for n in range(3))
    for sku in ("TEA", "CUP"):
        await edges.post(StockScanned(barcode=sku, quantity=100, location="A-1", scanned_at=now), PICKER)
    for number in numbers:
        order = submitted(number, placed_at=now, lines=lines(("TEA", 2, 5000), ("CUP", 1, 100)))
        await edges.post(order, SHOP)
        if number != placed:
            await edges.post(paid(number, amount=order.total), SHOP)
            await edges.post(confirmed(number), SHOP)
    await pace.settled()
    for number in (shipped, picked):
        await edges.post(PickStartScanned(order_id=oid(number), scanned_at=now), PICKER)
        await edges.post(PickScanned(order_id=oid(number), barcode="TEA", quantity=2, scanned_at=now), PICKER)
    await edges.post(PickScanned(order_id=oid(shipped), barcode="CUP", quantity=1, scanned_at=now), PICKER)
    await edges.post(CheckStartScanned(order_id=oid(shipped), scanned_at=now), CHECKER)
    for sku, quantity in (("TEA", 2), ("CUP", 1)):
        scan = CheckScanned(order_id=oid(shipped), barcode=sku, quantity=quantity, scanned_at=now)
        await edges.post(scan, CHECKER)
    await edges.post(CheckFinishScanned(order_id=oid(shipped), scanned_at=now), CHECKER)
    packed = PackScanned(order_id=oid(shipped), weight_grams=500, scanned_at=now)
    parcel = (await edges.post(packed, PICKER))["tracking_number"]
    await edges.post(HandOverScanned(tracking_number=parcel, scanned_at=now), PICKER)
    await pace.settled()
    return {"external_number": numbers, "order_id": tuple(map(oid, numbers)), "tracking_number": (parcel,)}


def _drawn(seed: str, known: Known) -> Sent:
    sent: Sent = []
    for kind in INBOX_EVENTS:
        for some in (events_of(kind, known), longest_of(kind)):

            @fuzz(seed, EVENTS)
            @given(
                event=some,
                person=st.sampled_from((PICKER, CHECKER)),
                filled=st.tuples(FILLED, FILLED, FILLED),
            )
            def draw(event: Event, person: Actor, filled: tuple[str, str, str]) -> None:
                actor = {"scans.inbox": person, "tracking.inbox": COURIER}.get(
                    topic_of(event.wire_type), SHOP
                )
                sent.append(
                    (event, actor, f"{seed}-{len(sent)} {filled[0]}", f"shop{filled[1]}", f"c{filled[2]}")
                )

            draw()
    random.Random(seed).shuffle(sent)
    assert len(sent) > 150
    return sent


def _greatest(seed: str, now: datetime) -> Sent:
    """An order that is as large as one may be, and goes to the warehouse."""
    number, skus = f"{seed}-greatest", [f"{n:04}{longest(ALPHABETS[2], 96)}" for n in range(1000)]
    goods = lines(*((sku, 1, 1) for sku in skus))
    order = submitted(
        number, placed_at=now, lines=[line.model_copy(update={"name": "名" * 45}) for line in goods]
    )
    assert 0.9 * LARGEST < len(order.model_dump_json().encode()) <= LARGEST
    events = order, paid(number, amount=order.total), confirmed(number)
    return [(event, SHOP, f"{number} {n}", "shop", "c") for n, event in enumerate(events)]


async def _all_is_held(stack: Stack, sent: Sent) -> None:
    bodies = {id: event for event, _, id, *_ in sent}
    parked, known = [], set()
    for service in SERVICES:
        for row in await query(stack, service, "SELECT doc FROM parked"):
            doc = json.loads(row["doc"])
            parked.append(
                (service, doc["type"], doc["reason"], doc["traceback"], bodies.get(doc["message_id"]))
            )
        known |= {row["key"] for row in await query(stack, service, "SELECT key FROM inbox")}
    assert parked == []
    assert [id for _, _, id, source, _ in sent if f"{source} {id}" not in known] == []


@pytest.fixture(scope="module")
def session(stack: Stack) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {stack.token(SCANNER)}"
        yield session


@seeded
@pytest.mark.parametrize("service", SERVICES)
def test_no_request_is_our_fault_and_every_refusal_says_why(
    stack: Stack, session: requests.Session, service: str, seed: str
) -> None:
    schema = schemathesis.openapi.from_url(f"{stack.url(service)}/openapi.json")
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in GenerationMode:

            @fuzz(seed, EXAMPLES[seed])
            @given(case=operation.as_strategy(generation_mode=mode))
            def fits(case: Any) -> None:
                nonlocal asked
                asked += 1
                response = case.call(session=session, timeout=20)
                try:
                    assert response.status_code < 500 or case.path == "/health/ready"
                    if response.status_code >= 400 and case.method != "HEAD":
                        assert response.headers["content-type"] == ["application/problem+json"]
                        problem = ProblemDocument.model_validate(response.json())
                        assert problem.status == response.status_code
                except Exception as error:
                    error.add_note(f"{case.as_curl_command()}\n{response.status_code} {response.text[:500]}")
                    raise

            with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
                fits()
    assert asked > 40
    assert unwell(stack) == {}


@pytest.mark.requirement("X4")
def test_no_log_holds_anything_of_a_buyer_or_of_a_bug(stack: Stack) -> None:
    text = "\n".join(logs(stack).values())
    assert leaked(stack, [stack.token(SCANNER)]) == {}
    assert "request failed" not in text
    assert "message parked" not in text
