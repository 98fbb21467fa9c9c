"""What ops see: JSON logs without personal data, Prometheus metrics (X6). Traces are in `tracing.py`."""

import contextlib
import logging
import sys
import time
import traceback
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from shared.runtime.messages import Incoming, Outcome
from shared.runtime.store import Changes
from shared.version import running_version

PERSONAL = frozenset(
    {"personal", "contact", "address", "name", "phone", "email", "street", "recipient", "body"}
)
"""Keys that no log line may carry, at any depth, alone or as the end of a longer one: `buyer_name` (X4)."""

REPEAT_SECONDS = 10
"""How seldom a library's line is written again."""
LONGEST = 1000
"""Characters of one value in a log line."""


class _Output(structlog.PrintLogger):
    """Writes lines. One that cannot be written, for the disk is full, is left out: what wanted to say it goes on."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = error = critical = exception = fatal = failure = err = msg


class _Seldom(logging.Filter):
    """Lets a line of a library pass once in REPEAT_SECONDS, whatever its values, and says how many were left out: a client
    whose broker is away tries again tens of times a second, and says so each time."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, Any], tuple[float, int]] = {}
        """Of each kind of line: when one passed last, and how many were left out since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        kind = record.name, record.msg
        passed, more = self._kinds.get(kind, (-REPEAT_SECONDS, 0))
        now = time.monotonic()  # a clock that is set back would keep a line quiet until it is there again
        if now - passed < REPEAT_SECONDS:
            self._kinds[kind] = passed, more + 1
            return False
        if len(self._kinds) > 1000:  # some library makes up a line of its own each time
            self._kinds.clear()
        self._kinds[kind] = now, 0
        if more:
            record.msg = f"{record.getMessage()} ({more} more such lines were left out)"
            record.args = ()
        return True


def setup_logging(level: str, service: str) -> None:
    """JSON lines on standard output, the libraries' own logs included."""

    def without_personal(
        logger: Any, method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        return {key: _clean(key, value) for key, value in event.items()} | {"service": service}

    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _failure,
        without_personal,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: _Output(),
        cache_logger_on_first_use=True,
    )
    render: list[structlog.types.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(),
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_Seldom())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=render, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # says ten times a second which topics it misses; we say it once
    logging.getLogger("aiokafka.cluster").setLevel(logging.CRITICAL)


def _clean(key: str, value: Any) -> Any:
    if key.lower().rsplit("_", 1)[-1] in PERSONAL:
        return "[removed]"
    if isinstance(value, Mapping):
        return {str(k): _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean("", v) for v in value]
    if isinstance(value, str):
        return value if len(value) <= LONGEST else value[:LONGEST] + "…"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (datetime, UUID)):
        return str(value)
    if key.startswith("_"):  # structlog's own, taken out before the line is written
        return value
    return f"<{type(value).__name__}>"  # rows, events, exceptions: their text may be about somebody


def _failure(logger: Any, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    found = event.pop("exc_info", None)
    if found:
        error = found[1] if isinstance(found, tuple) else found
        event["exception"] = places(error if isinstance(error, BaseException) else sys.exception())
    return event


def places(error: BaseException | None) -> list[str]:
    """An exception and its causes as types and places, never their messages: those quote values (X4)."""
    chain: list[str] = []
    while error is not None and len(chain) < 5:
        frames = traceback.extract_tb(error.__traceback__)[-12:]
        where = " < ".join(f"{f.name} ({f.filename.rsplit('/', 1)[-1]}:{f.lineno})" for f in reversed(frames))
        chain.append(f"{type(error).__name__} in {where or 'no frame'}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


class Metrics:
    """The metrics of one service, on a registry of its own."""

    def __init__(self, service: str) -> None:
        self.registry = registry = CollectorRegistry()
        prefix: dict[str, Any] = {"namespace": "handover", "registry": registry}
        Info("build", "What is running.", **prefix).info({"service": service, "version": running_version()})
        self._messages = Counter(
            "messages", "Messages by what became of them.", ["type", "door", "outcome"], **prefix
        )
        self._said = Counter("events_said", "Events published.", ["type"], **prefix)
        self._turns = Counter("turns", "Turns committed.", **prefix)
        self._size = Histogram(
            "turn_messages", "Messages in a turn.", buckets=(1, 5, 20, 50, 100, 200, 500, 1000), **prefix
        )
        self._seconds = Histogram(
            "turn_seconds", "Time from the first try of a turn to its commit.",
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30), **prefix,
        )  # fmt: skip
        self._last = Gauge("last_turn_timestamp_seconds", "When the last turn was committed.", **prefix)
        self._lag = Gauge("lag_messages", "Messages not yet applied.", ["topic", "partition"], **prefix)
        self._stands = Gauge(
            "partition_stands_seconds", "How long nothing of a partition was applied although some waits.",
            ["topic", "partition"], **prefix,
        )  # fmt: skip
        self._moved: dict[tuple[str, int], tuple[int, float]] = {}
        """Of each partition, how far it was applied, and when it came there or had nothing left."""
        self._outbox = Gauge("outbox_events", "Events not yet sent.", **prefix)
        self._outbox_age = Gauge("outbox_oldest_seconds", "Age of the oldest event not yet sent.", **prefix)
        self._timers = Gauge(
            "timers_overdue", "Timers due, where the oldest is due for half a minute.", **prefix
        )
        self._ready = Gauge("ready", "1 where a part is well, as /health/ready says.", ["part"], **prefix)
        self._parked = Gauge("parked_messages", "Messages set aside.", ["state"], **prefix)
        self._clock = Gauge(
            "host_clock_ahead_seconds", "How far the host's clock is ahead of the database's.", **prefix
        )

    def turn_done(self, messages: Sequence[Incoming], outcomes: Sequence[Outcome], changes: Changes) -> None:
        """Count what a committed turn did."""
        if not messages:
            return
        tally = Tally(
            (m.envelope.type if m.error is None else "unreadable", m.door, o.status)
            for m, o in zip(messages, outcomes, strict=True)
        )
        for labels, count in tally.items():
            self._messages.labels(*labels).inc(count)
        for type_name, count in Tally(e.type for e in changes.entries).items():
            self._said.labels(type_name).inc(count)
        self._turns.inc()
        self._size.observe(len(messages))
        self._last.set(time.time())

    def turn_took(self, seconds: float, messages: Sequence[Incoming], outcomes: Sequence[Outcome]) -> None:
        """Note how long a turn took."""
        self._seconds.observe(seconds)

    def sample(
        self,
        outbox: int,
        age: float,
        timers: int,
        parked: Mapping[str, int],
    ) -> None:
        """Set the gauges that are read from the database."""
        self._outbox.set(outbox)
        self._outbox_age.set(age)
        self._timers.set(timers)
        for state in ("failed", "queued", "gap"):
            self._parked.labels(state).set(parked.get(state, 0))

    def sample_lag(
        self, lag: Mapping[tuple[str, int], int], applied: Mapping[tuple[str, int], int], now: float
    ) -> None:
        """Set how far this process is behind, and since when it does not get on; `now` in seconds of any clock."""
        self._lag.clear()
        self._stands.clear()
        before, self._moved = self._moved, {}
        for (topic, partition), behind in lag.items():
            place = topic, partition
            at = applied.get(place, 0)
            was, since = before.get(place, (at, now))
            self._moved[place] = at, since if behind and was == at else now
            self._lag.labels(topic, str(partition)).set(behind)
            self._stands.labels(topic, str(partition)).set(now - self._moved[place][1])

    def sample_readiness(self, checks: Mapping[str, str | None]) -> None:
        """Set what `/health/ready` says, part by part."""
        for part, trouble in checks.items():
            self._ready.labels(part).set(trouble is None)

    def sample_clock(self, ahead: float) -> None:
        """Set how many seconds the clock of this host is ahead of the database's."""
        self._clock.set(ahead)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
