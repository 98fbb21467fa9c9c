"""Traces: one goes through all that a message causes, and says what became of each part of it."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.runtime import tracing as tracing_module
from shared.runtime.memory import MemoryTransaction
from shared.runtime.messages import Incoming, Outcome, Refused, Status, timer_fallen_due
from shared.runtime.store import Changes, TryAgain
from shared.runtime.tracing import Tracing, known_trace
from tests.builders import paid
from tests.collector import Collector
from tests.harness import START, Bench
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
        "handover.door": "kafka",
        "handover.stream": paid().stream,
        "handover.outcome": "done",
    }


async def test_an_event_carries_the_span_that_said_it(collector: Collector):
    bench, tracing = traced("orders", collector)
    message = bench.from_outside(paid(), id="1")
    message.message, message.error = None, Refused("unknown_type", "no")  # an event tells of it
    await bench.turns.run([message])
    tracing.close()
    [span] = collector.spans
    [entry] = bench.store.event_log
    assert entry.trace == f"00-{span.trace}-{span.id}-01"
    assert (span.parent, span.error, span.attributes["handover.outcome"]) == (None, False, "refused")


async def test_a_turn_that_runs_again_names_the_same_span(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    bench, tracing = traced("orders", collector)
    named = list[str | None]()
    save = MemoryTransaction.save

    async def races_once(tx: MemoryTransaction, changes: Changes) -> None:
        named.extend(e.trace for e in changes.entries)
        if len(named) == 1:
            raise TryAgain("somebody else was faster")
        await save(tx, changes)

    monkeypatch.setattr(MemoryTransaction, "save", races_once)
    message = bench.from_outside(paid(), id="1")
    message.message, message.error = None, Refused("unknown_type", "no")
    await bench.turns.run([message])
    tracing.close()
    [span] = collector.spans
    assert named == [f"00-{span.trace}-{span.id}-01"] * 2


async def test_what_is_tried_again_is_another_span_each_time(collector: Collector):
    bench, tracing = traced("orders", collector)
    for _ in range(2):
        assert (await bench.ask(Add(tally_id="t", number=13), key="k")).status == "failed"
    assert (await bench.ask(Add(tally_id="t"), key="k")).status == "done"
    tracing.close()
    assert [span.error for span in collector.spans] == [True, True, False]
    assert len({span.id for span in collector.spans}) == 3
    assert len(collector.traces()) == 1
    assert "13800138000" not in str(collector.spans)


def test_a_timer_is_a_trace_of_its_own_each_time_that_it_falls_due(collector: Collector):
    tracing = Tracing("orders", collector.url)
    due = [
        timer_fallen_due("expire/o-1", "/handover/orders", "none", START + timedelta(hours=h), b"")
        for h in (0, 1)
    ]
    first, second = (str(tracing.onward(timer.envelope)) for timer in due)
    assert first[3:35] != second[3:35]
    tracing.close()


async def test_what_outsiders_wrote_into_a_message_that_cannot_be_read_is_in_no_span(collector: Collector):
    bench, tracing = traced("orders", collector)
    message = bench.from_outside(paid("王芳"), id="王芳")
    message.envelope.type = "王芳"
    message.message, message.error = None, Refused("unknown_type", "no")
    await bench.turns.run([message])
    tracing.close()
    [span] = collector.spans
    assert span.name == "unreadable"
    assert "王芳" not in str(span)


async def test_what_samples_by_the_environment_breaks_no_trace(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    bench, tracing = traced("orders", collector)
    await bench.ask(Add(tally_id="t"))
    tracing.close()
    assert len(collector.spans) == 1


def test_a_collector_that_never_answers_keeps_no_service_from_stopping(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracing_module, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        tracing = Tracing("orders", f"http://127.0.0.1:{server.getsockname()[1]}")
        bench: Bench[Any] = Bench(service())
        messages = [bench.from_outside(paid(), id=str(n)) for n in range(2000)]
        tracing.turn_took(0.1, messages, [Outcome(Status.DONE)] * len(messages))
        tracing.close()
        assert tracing._exporter is not None
        assert tracing._exporter._shutdown, "given up"


def test_flags_that_are_not_known_are_not_passed_on():
    tracing = Tracing("orders", "http://127.0.0.1:1")
    for flags, onward in (("ff", "01"), ("08", "00"), ("01", "01")):
        message = with_trace(Bench(service()).from_outside(paid()), TRACE[:-2] + flags)
        assert str(tracing.onward(message.envelope))[-2:] == onward
    tracing.close()


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
