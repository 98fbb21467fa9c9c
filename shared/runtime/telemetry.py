"""What ops see: JSON logs without personal data, Prometheus metrics, traces where an endpoint is set (X6)."""

import logging
import time
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shared.runtime.messages import Incoming, Outcome
from shared.runtime.settings import Settings
from shared.runtime.store import Changes

PERSONAL = frozenset({"personal", "contact", "address", "name", "phone", "email", "street", "recipient", "body"})
"""Keys that no log line may carry (X4)."""


def setup_logging(level: str, service: str) -> None:
    """JSON lines on standard output, the libraries' own logs included."""

    def without_personal(logger: Any, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        for key in PERSONAL & event.keys():
            event[key] = "[removed]"
        event["service"] = service
        return event

    shared = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_personal,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def setup_tracing(settings: Settings, service: str) -> None:
    """Send traces to the configured endpoint; without one nothing is made and nothing is spent."""
    if settings.otlp_endpoint is None:
        return
    provider = TracerProvider(resource=Resource.create({"service.name": f"handover-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    trace.set_tracer_provider(provider)


class Metrics:
    """The metrics of one service, on a registry of its own."""

    def __init__(self, service: str) -> None:
        self.registry = registry = CollectorRegistry()
        prefix = {"namespace": "handover", "registry": registry}
        self._messages = Counter("messages", "Messages by what became of them.", ["type", "door", "outcome"], **prefix)
        self._said = Counter("events_said", "Events published.", ["type"], **prefix)
        self._turns = Counter("turns", "Turns committed.", **prefix)
        self._size = Histogram(
            "turn_messages", "Messages in a turn.", buckets=(1, 5, 20, 50, 100, 200, 500, 1000), **prefix
        )
        self._last = Gauge("last_turn_timestamp_seconds", "When the last turn was committed.", **prefix)
        self._lag = Gauge("lag_messages", "Messages not yet applied.", ["topic", "partition"], **prefix)
        self._outbox = Gauge("outbox_events", "Events not yet sent.", **prefix)
        self._outbox_age = Gauge("outbox_oldest_seconds", "Age of the oldest event not yet sent.", **prefix)
        self._timers = Gauge("timers_overdue", "Timers due and not yet handled.", **prefix)
        self._parked = Gauge("parked_messages", "Messages set aside.", ["state"], **prefix)
        self._tracer = trace.get_tracer("handover")
        self._propagator = TraceContextTextMapPropagator()

    def turn_done(self, messages: Sequence[Incoming], outcomes: Sequence[Outcome], changes: Changes) -> None:
        """Count what a committed turn did."""
        if not messages:
            return
        tally = Tally(
            (m.envelope.type if m.error is None else "unreadable", m.door.value, o.status.value)
            for m, o in zip(messages, outcomes, strict=True)
        )
        for labels, count in tally.items():
            self._messages.labels(*labels).inc(count)
        for type_name, count in Tally(e.type for e in changes.entries).items():
            self._said.labels(type_name).inc(count)
        self._turns.inc()
        self._size.observe(len(messages))
        self._last.set(time.time())
        self._trace(messages)

    def _trace(self, messages: Sequence[Incoming]) -> None:
        """One span a turn, linked to what caused each message."""
        traces = {m.envelope.trace for m in messages if m.envelope.trace}
        if not traces or not isinstance(trace.get_tracer_provider(), TracerProvider):
            return
        contexts = (self._propagator.extract({"traceparent": t}) for t in traces)
        links = [trace.Link(trace.get_current_span(c).get_span_context()) for c in contexts]
        with self._tracer.start_as_current_span("turn", links=links) as span:
            span.set_attribute("messaging.batch.message_count", len(messages))

    def sample(
        self,
        outbox: int,
        age: float,
        timers: int,
        parked: Mapping[str, int],
        lag: Mapping[tuple[str, int], int],
    ) -> None:
        """Set the gauges that are read from the database and the consumer."""
        self._outbox.set(outbox)
        self._outbox_age.set(age)
        self._timers.set(timers)
        for state in ("failed", "queued", "gap"):
            self._parked.labels(state).set(parked.get(state, 0))
        self._lag.clear()
        for (topic, partition), behind in lag.items():
            self._lag.labels(topic, str(partition)).set(behind)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
