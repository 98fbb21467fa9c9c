"""What stands at an OTLP endpoint: takes spans over HTTP as collectors do, and keeps them to be looked at."""

import gzip
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """One span as it was sent. `seconds` is how long it took, `kind` and `error` are told as OTLP tells them."""

    service: str
    trace: str
    id: str
    parent: str | None
    name: str
    kind: int
    error: bool
    seconds: float
    attributes: dict[str, str | int]


class Collector:
    """Listens from `with` on; `url` is where, with nothing but a host, as it is mostly set."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                known = self.path == "/v1/traces"
                if known:
                    collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if known else 404)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def traces(self) -> list[list[Span]]:
        """The spans of each trace."""
        found = defaultdict[str, list[Span]](list)
        for span in self.spans:
            found[span.trace].append(span)
        return list(found.values())


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            next(a.value.string_value for a in of.resource.attributes if a.key == "service.name"),
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex() or None,
            span.name,
            span.kind,
            span.status.code == span.status.STATUS_CODE_ERROR,
            (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in span.attributes},
        )
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]
