"""What the doctor says about what it saw: one line each, the right runbook, and nobody woken for what mends itself (X6)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.commands.doctor import findings_of
from deploy.doctor import judge as runbooks
from deploy.doctor.judge import Finding, judge, unfit
from deploy.doctor.look import Look, _standing, ask
from shared.runtime.verify import Break

pytestmark = pytest.mark.requirement("X6")

PARTS = ("database", "kafka", "http", "relay", "timers", "loops")
LONG_AGO = "2020-01-01T00:00:00+00:00"


def seen(**parts: Any) -> Look:
    """The warehouse as the doctor saw it: well, but for what is said here."""
    progress = {
        "outbox": 0, "outbox_oldest_seconds": 0, "timers_due": 0, "timers_oldest_seconds": 0, "parked": {}, "applied": {},
        "topics": ["orders"], "clock_driven": False,
    } | parts.pop("progress", {})  # fmt: skip
    look = Look(
        "warehouse", "http://host:1", checks=dict.fromkeys(PARTS, "ok"), progress=progress, lag={"orders": 0}
    )
    for name, value in parts.items():
        setattr(look, name, value)
    return look


def unready(part: str, reason: str) -> Look:
    return seen(checks=dict.fromkeys(PARTS, "ok") | {part: reason})


def channel(name: str, **parts: Any) -> Look:
    """One channel of notify, well but for what is said here."""
    counts = {
        "waiting": 0,
        "tries": 0,
        "last_error": "",
        "away": False,
        "unserved": 0,
        "untaken": 0,
        "given_up": 0,
    }
    return seen(channels=[{"channel": name} | counts | parts])


def only(look: Look) -> Finding:
    (finding,) = judge([look])
    return finding


def test_all_that_is_well_is_not_worth_a_word():
    assert judge([seen(), seen()]) == []


@pytest.mark.parametrize(
    ("look", "runbook"),
    [
        (seen(silent="refused", checks={}, progress={}), runbooks.DOWN),
        (seen(silent="timeout", checks={}, progress={}), runbooks.HANGS),
        (seen(silent="something else", checks={}, progress={}), runbooks.DOWN),
        (seen(silent="something before it"), runbooks.DOWN),
        (seen(refused="the token is not ours", refused_as="token_invalid"), runbooks.KEY),
        (unready("database", "the database cannot be reached"), runbooks.POSTGRES),
        (seen(checks={"database": "the database cannot be reached"}, chain="all 3 events"), runbooks.CUT),
        (seen(checks={"relay": "the database cannot be reached"}, chain="all 3 events"), runbooks.CUT),
        (unready("database", "the database: QueryCanceledError"), runbooks.SLOW),
        (unready("database", "the database: DiskFullError"), runbooks.FULL),
        (unready("database", "migrations are missing"), runbooks.NOT_STARTING),
        (unready("kafka", "Kafka cannot be reached"), runbooks.KAFKA),
        (unready("kafka", "Kafka has no topic orders"), runbooks.TOPICS),
        (unready("timers", "turns fail: see the log"), runbooks.BEHIND),
        (seen(clock_off=3600.0), runbooks.CLOCK),
        (seen(clock_off=-3600.0), runbooks.CLOCK),
        (seen(host_off=-600.0), runbooks.CLOCK),
        (seen(stands=frozenset({"outbox"}), progress={"outbox": 3, "outbox_oldest_seconds": 90}), runbooks.OUTBOX),
        (seen(stands=frozenset({"lag"}), lag={"orders": 8}), runbooks.BEHIND),
        (seen(stands=frozenset({"timers"}), progress={"timers_due": 2, "timers_oldest_seconds": 70}), runbooks.TIMERS),
        (seen(breaks=[Break("order/a", 3, "its hash is another")]), runbooks.CHAIN),
        (seen(protected=False), runbooks.CHAIN),
        (seen(missing={"orders": ["order/a"]}), runbooks.TOPICS),
        (seen(ahead={"orders": ["order/a"]}), runbooks.RESTORE),
        (seen(gaps=[{"lane": "orders|order/a", "stream": "order/a", "reason": "waits for 2", "parked_at": LONG_AGO}]),
         runbooks.GAP),
        (seen(failed=[{"key": "k", "type": "orders.order_paid.v1", "stream": "order/a", "reason": "KeyError"}]),
         runbooks.PARKED),
        (seen(lag=None), runbooks.KAFKA),
        (channel("email", waiting=4, tries=9, last_error="refused", away=True), runbooks.CHANNEL),
        (channel("webhook:erp", unserved=3), runbooks.CHANNEL),
        (channel("email", untaken=2), runbooks.CHANNEL),
    ],
)  # fmt: skip
def test_each_trouble_names_its_runbook_and_wakes_somebody(look: Look, runbook: str):
    finding = only(look)
    assert finding.runbook == runbook
    assert finding.needs_somebody
    assert finding.service == "warehouse"


@pytest.mark.parametrize(
    "look",
    [
        seen(progress={"outbox": 3, "outbox_oldest_seconds": 1}),
        seen(lag={"orders": 8}),
        channel("email", waiting=1, tries=1, last_error="refused", away=True),
        channel("email", waiting=1, tries=9, last_error="a full mailbox"),
        channel("email", given_up=2),
    ],
)
def test_what_mends_itself_is_said_and_wakes_nobody(look: Look):
    assert not only(look).needs_somebody


def test_a_token_that_ended_by_a_clock_that_is_ahead_is_not_called_unfit():
    ahead = seen(refused="the token has expired", refused_as="token_expired", host_off=3600.0)
    assert unfit(ahead) is None
    assert {finding.runbook for finding in judge([ahead])} == {runbooks.CLOCK}


@pytest.mark.parametrize(
    ("code", "off"), [("token_expired", 0.0), ("token_expired", -3600.0), ("role_too_low", 3600.0)]
)
def test_a_token_that_does_not_do_is_unfit_where_no_clock_explains_it(code: str, off: float):
    assert unfit(seen(refused="because", refused_as=code, host_off=off)) == "because"


def test_one_cause_of_several_parts_is_said_once():
    look = unready("database", "the database cannot be reached")
    look.checks["relay"] = look.checks["timers"] = "the database cannot be reached"
    assert only(look).runbook == runbooks.POSTGRES


def test_what_is_the_same_with_several_services_is_said_once():
    looks = [unready("kafka", "Kafka cannot be reached") for _ in range(2)]
    looks[1].service = "orders"
    (finding,) = judge(looks)
    assert finding.service == "warehouse, orders"


def test_what_waits_behind_a_service_that_is_not_well_needs_no_line_that_wakes():
    look = unready("database", "the database cannot be reached")
    look.lag, look.stands = {"orders": 8}, frozenset({"outbox", "lag"})
    assert look.progress is not None
    look.progress |= {"outbox": 3, "outbox_oldest_seconds": 90}
    assert [(f.runbook, f.needs_somebody) for f in judge([look])] == [
        (runbooks.POSTGRES, True),
        (runbooks.OUTBOX, False),
        (runbooks.BEHIND, False),
    ]


def test_what_the_doctor_writes_for_prometheus_is_what_needs_somebody():
    gone = seen(checks={}, progress={}, silent="refused")
    broken = seen(
        breaks=[Break("order/a", 3, "its hash is another"), Break("order/b", 1, "its hash is another")]
    )
    broken.service, late = "orders", channel("email", given_up=2)
    both = [unready("kafka", "Kafka cannot be reached") for _ in range(2)]
    both[1].service = "notify"
    registry = findings_of(judge([gone, broken, late, *both]), "deep")
    (family,) = registry.collect()
    assert {
        (s.labels["service"], s.labels["runbook"], s.labels["look"]): s.value for s in family.samples
    } == {
        ("warehouse", runbooks.DOWN, "deep"): 1,
        ("orders", runbooks.CHAIN, "deep"): 2,
        ("warehouse", runbooks.KAFKA, "deep"): 1,
        ("notify", runbooks.KAFKA, "deep"): 1,
    }


def test_what_kafka_does_not_say_while_it_is_away_is_said_once():
    look = unready("kafka", "Kafka cannot be reached")
    look.lag = None
    assert only(look).what == "not ready, kafka: Kafka cannot be reached"


def test_timers_that_are_being_handled_are_not_overdue():
    assert judge([seen(progress={"timers_due": 2, "timers_oldest_seconds": 1})]) == []


def test_timers_that_wait_while_their_service_catches_up_wake_nobody():
    """They hear first what was said before; whoever starts the service anew makes it later."""
    late = {"timers_due": 2, "timers_oldest_seconds": 70}
    catching_up = seen(stands=frozenset({"timers"}), lag={"orders": 8}, progress=late)
    assert [(f.runbook, f.needs_somebody) for f in judge([catching_up])] == [(runbooks.BEHIND, False)]
    held_up = seen(stands=frozenset({"timers", "lag"}), lag={"orders": 8}, progress=late)
    assert {f.runbook for f in judge([held_up]) if f.needs_somebody} == {runbooks.BEHIND, runbooks.TIMERS}


@pytest.mark.parametrize("driven", [False, True])
def test_a_gap_that_may_close_by_itself_is_given_its_time(driven: bool):
    """On a driven clock nobody knows how long it has been there."""
    gap = {"lane": "orders|order/a", "stream": "order/a", "reason": "waits for 2"}
    gap["parked_at"] = datetime.now(UTC).isoformat()
    found = judge([seen(gaps=[gap], progress={"clock_driven": driven})])
    assert [f.runbook for f in found] == ([runbooks.GAP] if driven else [])


@pytest.mark.parametrize(
    ("lag", "applied", "moves"),
    [
        ({"orders": 3, "scans.inbox": 9}, {"orders/0": 5, "scans.inbox/0": 8}, False),
        ({"orders": 3, "scans.inbox": 9}, {"orders/0": 6, "scans.inbox/0": 8}, True),
        ({"orders": 2, "scans.inbox": 9}, {"orders/0": 5, "scans.inbox/0": 8}, True),
        ({"orders": 0, "scans.inbox": 9}, {"orders/0": 5, "scans.inbox/0": 8}, True),
    ],
    ids=["orders stands", "it applied some", "another replica did", "nothing waits there"],
)
def test_a_topic_that_stands_is_not_excused_by_another_that_goes_on(
    lag: dict[str, int], applied: dict[str, int], moves: bool
):
    at_rest = {"outbox": 0, "timers_due": 0}
    before = at_rest | {"applied": {"orders/0": 5, "scans.inbox/0": 2}}
    stands = _standing(before, {"orders": 3, "scans.inbox": 9}, at_rest | {"applied": applied}, lag)
    assert stands == (frozenset() if moves else {"lag"})


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_connection_that_is_closed_without_an_answer_counts_as_nothing_answering(abruptly: bool):
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if abruptly:
            writer.transport.abort()
        else:
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        look = Look("warehouse", f"http://127.0.0.1:{port}")
        await ask(look, "token")
    finding = only(look)
    assert finding.what == f"nothing answers at {look.url}"
    assert finding.runbook == runbooks.DOWN
