"""Traces: one goes through all that a message causes, and says what became of each part of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.runtime.messages import Incoming
from shared.runtime.tracing import Tracing, known_trace
from tests.builders import paid
from tests.collector import Collector
from tests.harness import Bench
from tests.runtime.stand import Add, service

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONSUMER, SERVER = 5, 2

pytestmark = pytest.mark.requirement("X6")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def traced(name: str, collector: Collector) -> tuple[Bench[Any], Tracing]:
    """A service whose turns are traced."""
    bench: Bench[Any] = Bench(service())
    tracing = Tracing(name, collector.url)
    bench.turns.onward = tracing.onward
    bench.turns.took.append(tracing.turn_took)
    return bench, tracing


def with_trace(incoming: Incoming, trace: str | None) -> Incoming:
    incoming.envelope.trace = trace
    return incoming


async def test_what_a_message_causes_elsewhere_is_a_child_of_what_was_done_about_it(collector: Collector):
    first, first_tracing = traced("orders", collector)
    second, second_tracing = traced("warehouse", collector)
    message = with_trace(first.from_outside(paid(), id="1"), TRACE)
    await first.turns.run([message])
    said = first_tracing.onward(message.envelope)
    await second.turns.run([with_trace(second.from_outside(paid(), id="2"), said)])
    first_tracing.close()
    second_tracing.close()
    one, two = collector.spans
    assert (one.service, two.service) == ("handover-orders", "handover-warehouse")
    assert {one.trace, two.trace} == {TRACE[3:35]}
    assert (one.parent, two.parent) == (TRACE[36:52], one.id)
    assert (one.name, one.kind, one.error) == (paid().wire_type, CONSUMER, False)
    assert one.attributes == {
        "messaging.message.id": "1",
        "messaging.batch.message_count": 1,
        "handover.door": "kafka",
        "handover.stream": paid().stream,
        "handover.outcome": "done",
    }


async def test_an_event_carries_the_span_that_said_it(collector: Collector):
    bench, tracing = traced("orders", collector)
    message = with_trace(bench.from_outside(paid(), id="1"), None)
    message.message, message.error = None, ValueError("王芳")  # parked: an event tells of it
    await bench.turns.run([message])
    tracing.close()
    [span] = collector.spans
    [entry] = bench.store.event_log
    assert entry.trace == f"00-{span.trace}-{span.id}-01"
    assert (span.parent, span.error, span.attributes["handover.outcome"]) == (None, True, "parked")
    assert "王芳" not in str(collector.spans)


async def test_a_turn_that_runs_again_names_the_same_span(collector: Collector):
    bench, tracing = traced("orders", collector)
    other = Tracing("orders", collector.url)
    message = bench.from_outside(paid(), id="1")
    assert tracing.onward(message.envelope) == other.onward(message.envelope)
    tracing.close()
    other.close()


async def test_a_command_is_served_and_its_span_lasts_as_long_as_its_turn(collector: Collector):
    bench, tracing = traced("orders", collector)
    assert (await bench.ask(Add(tally_id="t"))).status == "done"
    tracing.close()
    [span] = collector.spans
    assert (span.name, span.kind, span.parent) == ("Add", SERVER, None)
    assert "handover.stream" not in span.attributes, "what it is about is not known before it is handled"
    assert 0 < span.seconds < 60


async def test_what_comes_twice_or_is_not_wanted_in_a_trace_makes_no_span(collector: Collector):
    bench, tracing = traced("orders", collector)
    unwanted = TRACE[:-2] + "00"
    message = with_trace(bench.from_outside(paid(), id="1"), unwanted)
    await bench.turns.run([message])
    await bench.turns.run([with_trace(bench.from_outside(paid(), id="1"), None)])  # a duplicate
    tracing.close()
    assert collector.spans == []
    assert str(tracing.onward(message.envelope)).endswith("-00"), "nor elsewhere"


async def test_a_header_that_is_no_trace_begins_one(collector: Collector):
    """The header of an event is not in its hash: whatever stands there, the turn goes on."""
    bench, tracing = traced("warehouse", collector)
    message = with_trace(bench.from_outside(paid(), id="1"), "garbage")
    await bench.turns.run([message])
    tracing.close()
    [span] = collector.spans
    assert tracing.onward(message.envelope) == f"00-{span.trace}-{span.id}-01"


def test_without_an_endpoint_a_trace_goes_on_as_it_came():
    bench: Bench[Any] = Bench(service())
    tracing = Tracing("orders", None)
    for trace in (TRACE, None):
        message = with_trace(bench.from_outside(paid()), trace)
        assert tracing.onward(message.envelope) == trace
    tracing.close()


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (TRACE, True),
        (None, False),
        ("ff" + TRACE[2:], False),
        (TRACE.upper(), False),
        ("x" * 5000, False),
        ("00-" + "0" * 32 + TRACE[35:], False),
    ],
)
def test_only_a_traceparent_is_known(header: str | None, known: bool):
    assert known_trace(header) == (header if known else None)
