"""What ops see: logs without personal data, metrics that count what happened."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
import structlog

from shared.runtime import telemetry
from shared.runtime.messages import Refused
from shared.runtime.telemetry import LONGEST, Metrics, setup_logging
from tests.builders import PERSONAL, paid
from tests.harness import AGENT, Bench
from tests.runtime.stand import Add, service

SECRET = "13800138000"


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """The lines that are logged in the block, there when it has ended."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines: list[dict[str, Any]] = []
    with redirect_stdout(StringIO()) as out:
        setup_logging("INFO", "orders")
        try:
            yield lines
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
            structlog.reset_defaults()
    lines += [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.requirement("X6")
def test_our_logs_and_the_libraries_are_json_on_standard_output():
    with logged() as lines:
        structlog.get_logger("x").info("it happened", count=3)
        logging.getLogger("aiokafka").warning("group %s lost", "g")
    ours, theirs = lines
    assert (ours["event"], ours["count"], ours["level"], ours["service"]) == (
        "it happened",
        3,
        "info",
        "orders",
    )
    assert (theirs["event"], theirs["level"], theirs["service"]) == ("group g lost", "warning", "orders")
    assert {"timestamp"} <= ours.keys() & theirs.keys()


@pytest.mark.requirement("X6")
def test_a_library_that_says_the_same_again_and_again_is_heard_seldom(monkeypatch: pytest.MonkeyPatch):
    with logged() as lines:
        client = logging.getLogger("aiokafka")
        for port in range(50):
            client.error("cannot connect to %s: 100%% refused", port)
        client.error("another line")
        structlog.get_logger("x").info("ours")
        structlog.get_logger("x").info("ours")
        monkeypatch.setattr(telemetry, "REPEAT_SECONDS", 0)
        client.error("cannot connect to %s: 100%% refused", 50)
    assert [line["event"] for line in lines] == [
        "cannot connect to 0: 100% refused",
        "another line",
        "ours",
        "ours",
        "cannot connect to 50: 100% refused (49 more such lines were left out)",
    ]


@pytest.mark.requirement("X6")
def test_a_line_that_cannot_be_written_stops_nobody():
    class FullDisk(StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with logged() as lines:
        with redirect_stdout(FullDisk()):
            for level in ("info", "warning", "error", "exception", "critical"):
                getattr(structlog.get_logger("x"), level)("it happened")
        structlog.get_logger("x").info("there is room again")
    assert [line["event"] for line in lines] == ["there is room again"]


@pytest.mark.requirement("X4")
def test_personal_data_does_not_get_into_a_line_at_any_depth():
    with logged() as lines:
        structlog.get_logger("x").warning(
            "odd", phone=SECRET, buyer_name=SECRET, data={"contact": {"phone": SECRET}, "all": [{"email": SECRET}]},
            row=PERSONAL, order_id="o-1",
        )  # fmt: skip
    (line,) = lines
    assert SECRET not in str(line)
    assert "王芳" not in str(line)
    assert (line["order_id"], line["phone"], line["row"]) == ("o-1", "[removed]", "<Personal>")


@pytest.mark.requirement("X4")
@pytest.mark.parametrize("get_logger", [structlog.get_logger, logging.getLogger])
def test_an_exception_is_logged_by_type_and_place_never_by_message(get_logger: Any):
    with logged() as lines:
        try:
            try:
                raise KeyError(SECRET)
            except KeyError as cause:
                raise ValueError(SECRET) from cause
        except ValueError:
            get_logger("uvicorn.error").exception("failed")
    (line,) = lines
    assert SECRET not in str(line)
    assert [entry.split(" in ")[0] for entry in line["exception"]] == ["ValueError", "KeyError"]
    assert "test_telemetry.py:" in line["exception"][0]


def test_long_values_are_cut_and_plain_ones_kept():
    number = uuid4()
    with logged() as lines:
        structlog.get_logger("x").info("long", text="x" * 5000, id=number, flag=True, none=None)
    (line,) = lines
    assert len(line["text"]) == LONGEST + 1
    assert (line["id"], line["flag"], line["none"]) == (str(number), True, None)


# --- metrics --------------------------------------------------------------------------------------------------


@pytest.fixture
def bench() -> Bench[Any]:
    return Bench(service())


@pytest.mark.requirement("X6")
async def test_a_turn_is_counted_by_type_door_and_outcome(bench: Bench[Any]):
    metrics = Metrics("orders")
    bench.turns.after_commit.append(metrics.turn_done)
    bench.turns.took.append(metrics.turn_took)
    await bench.ask(Add(tally_id="t"))
    await bench.ask(Add(tally_id="t", number=-1))
    await bench.outside(paid(), id="1")
    await bench.outside(paid(), id="1")
    bad = bench.from_outside(paid(), id="2")
    bad.message, bad.error, bad.envelope = None, Refused("unknown_type", "no"), bad.envelope
    await bench.turns.run([bad])
    await bench.turns.run_timers()  # nothing is due: no turn
    text = metrics.exposition().decode()
    for line in (
        'handover_messages_total{door="http",outcome="done",type="Add"} 1.0',
        'handover_messages_total{door="http",outcome="refused",type="Add"} 1.0',
        'handover_messages_total{door="kafka",outcome="done",type="orders.inbox.payment_captured.v1"} 1.0',
        'handover_messages_total{door="kafka",outcome="duplicate",type="orders.inbox.payment_captured.v1"} 1.0',
        'handover_messages_total{door="kafka",outcome="refused",type="unreadable"} 1.0',
        'handover_events_said_total{type="orders.message_refused.v1"} 1.0',
        "handover_turn_messages_count 5.0",
        "handover_turn_seconds_count 5.0",
        'handover_build_info{service="orders"',
    ):
        assert line in text
    assert AGENT.name not in text


@pytest.mark.requirement("X6")
def test_gauges_show_what_waits_and_forget_what_is_gone():
    metrics = Metrics("orders")
    metrics.sample(7, 1.5, 2, {"failed": 3})
    metrics.sample(0, 0.0, 0, {})
    metrics.sample_lag({("orders", 0): 9, ("orders", 1): 4}, {}, 0)
    metrics.sample_lag({("orders", 1): 5}, {}, 5)
    metrics.sample_readiness({"database": None, "kafka": "Kafka does not answer"})
    text = metrics.exposition().decode()
    assert "handover_outbox_events 0.0" in text
    assert 'handover_parked_messages{state="failed"} 0.0' in text
    assert 'handover_lag_messages{partition="1",topic="orders"} 5.0' in text
    assert 'partition="0"' not in text
    assert 'handover_ready{part="database"} 1.0' in text
    assert 'handover_ready{part="kafka"} 0.0' in text


@pytest.mark.requirement("X6")
def test_a_partition_stands_while_some_of_it_waits_and_none_is_applied():
    """Where many come, some always wait, and that says nothing."""
    metrics, place = Metrics("orders"), ("orders", 0)

    def stands(behind: int, applied: int, now: float) -> float | None:
        metrics.sample_lag({place: behind}, {place: applied}, now)
        labels = {"topic": "orders", "partition": "0"}
        return metrics.registry.get_sample_value("handover_partition_stands_seconds", labels)

    assert [stands(3, 10, 0), stands(3, 15, 5), stands(4, 20, 10)] == [0, 0, 0]
    assert [stands(5, 20, 15), stands(6, 20, 20)] == [5, 10]
    assert [stands(0, 26, 25), stands(0, 26, 90), stands(1, 26, 95), stands(1, 26, 100)] == [0, 0, 5, 10]


def test_two_services_in_one_process_have_metrics_of_their_own():
    assert Metrics("orders").registry is not Metrics("warehouse").registry
