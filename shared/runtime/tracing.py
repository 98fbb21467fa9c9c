"""Traces: what caused what, from service to service, sent to an OTLP endpoint where one is set (X6).

What a service does about one message is one span. Its id is reckoned from the service and the message: so the events that come
of it name it before it has ended, and a turn that runs again, or after a crash, names the same.
"""

import re
import secrets
import time
from collections.abc import Sequence
from hashlib import blake2b
from threading import Timer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from shared.runtime.messages import Door, Envelope, Incoming, Outcome, Status
from shared.values import ActorKind

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_SHOWN = frozenset({Status.DONE, Status.REFUSED, Status.PARKED, Status.FAILED})
"""What became of messages about which a service did something."""
_TRIED_AGAIN = frozenset({Status.PARKED, Status.FAILED})
"""What comes again under its id: parked messages are retried, failed commands are asked again."""
SECONDS = 5
"""That spans are tried to be sent for, before they are given up."""

_KINDS = {Door.KAFKA: trace.SpanKind.CONSUMER, Door.HTTP: trace.SpanKind.SERVER}


def known_trace(header: str | None) -> str | None:
    """A W3C traceparent as it came, None when it is missing or not one: nothing else is kept or sent on."""
    return header if header is not None and _TRACEPARENT.fullmatch(header) else None


class Tracing:
    """The spans of one service. Without an endpoint none are made, and a traceparent goes on as it came."""

    def __init__(self, service: str, endpoint: str | None) -> None:
        self._service = service
        self._ids = _Given()
        self._exporter = _exporter(endpoint) if endpoint is not None else None
        self._provider = _provider(service, self._exporter, self._ids) if self._exporter is not None else None

    def onward(self, cause: Envelope) -> str | None:
        """The traceparent of what a message causes: its trace, begun here when it came without one, and its span."""
        if self._provider is None:
            return cause.trace
        came = _came(cause)
        trace_id, span_id = self._place(cause, came)
        flags = (
            came.trace_flags if came is not None else trace.TraceFlags.SAMPLED
        )  # one that begins here is wanted
        return f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"

    def turn_took(self, seconds: float, messages: Sequence[Incoming], outcomes: Sequence[Outcome]) -> None:
        """Make the spans of a turn that has just been committed; nothing that outsiders wrote freely is in them (X4)."""
        if self._provider is None:
            return
        tracer = self._provider.get_tracer("handover")
        end = time.time_ns()
        begin = end - int(seconds * 1e9)
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome.status not in _SHOWN:
                continue
            said = message.envelope
            came = _came(said)
            trace_id, span_id = self._place(said, came)
            again = outcome.refusal is not None and outcome.refusal.code == "id_reused"
            if again or outcome.status in _TRIED_AGAIN:  # the id is for what is done in the end
                span_id = secrets.randbits(64) or 1
            self._ids.trace, self._ids.span = trace_id, span_id
            readable = message.error is None
            span = tracer.start_span(
                said.type if readable else "unreadable",
                # nothing where it came without one, whatever runs around us
                trace.set_span_in_context(trace.NonRecordingSpan(came), Context()) if came else Context(),
                _KINDS.get(message.door, trace.SpanKind.INTERNAL),
                {"handover.door": message.door.value, "handover.outcome": outcome.status.value}
                | ({"handover.stream": said.stream} if readable and said.stream else {})  # a command has none
                | ({"messaging.message.id": said.id} if said.sequence is not None else {}),
                start_time=begin,
            )
            if outcome.status in _TRIED_AGAIN:
                span.set_status(trace.StatusCode.ERROR, type(outcome.error).__name__)
            span.end(end)

    def close(self) -> None:
        """Send what is left; blocks for up to twice SECONDS where the endpoint is away."""
        if self._provider is None or self._exporter is None:
            return
        late = Timer(SECONDS, self._exporter.shutdown)  # the provider would go on with batch after batch
        late.daemon = True
        late.start()
        self._provider.shutdown()
        late.cancel()

    def _place(self, said: Envelope, came: trace.SpanContext | None) -> tuple[int, int]:
        """The ids of the trace and of the span of a message, which `came` from there."""
        named = [said.source, said.id]
        if said.actor.kind is ActorKind.TIMER:  # the same each time that it falls due
            named.append(said.time.isoformat())
        trace_id = came.trace_id if came is not None else _hash(*named, size=16)
        return trace_id, _hash(self._service, *named, size=8)


def _came(said: Envelope) -> trace.SpanContext | None:
    """What the traceparent of a message names, None where it came without one. Of its flags only that it is wanted is known
    here; others are not passed on."""
    if (known := known_trace(said.trace)) is None:
        return None
    flags = trace.TraceFlags(int(known[-2:], 16) & trace.TraceFlags.SAMPLED)
    return trace.SpanContext(int(known[3:35], 16), int(known[36:52], 16), is_remote=True, trace_flags=flags)


def _hash(*parts: str, size: int) -> int:
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=size).digest())


class _Given(IdGenerator):
    """Gives the next span the ids that were reckoned for it."""

    trace = span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


def _exporter(endpoint: str) -> "OTLPSpanExporter":
    # not above: 3 MB of each service's memory, which those without an endpoint keep
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if not urlsplit(endpoint).path.strip("/"):  # a collector is mostly named by host and port
        endpoint = f"{endpoint.rstrip('/')}/v1/traces"
    return OTLPSpanExporter(endpoint=endpoint, timeout=SECONDS)


def _provider(service: str, exporter: "OTLPSpanExporter", ids: IdGenerator) -> TracerProvider:
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON),  # whatever the environment says: events have named these spans by now
        resource=Resource.create({"service.name": f"handover-{service}"}),
        id_generator=ids,
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
