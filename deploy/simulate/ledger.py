"""A record of what really took effect, kept in the same commit as the effects, to compare with what was said and accepted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Column, MetaData, Table, Text

from shared.runtime.desk import Desk
from shared.runtime.messages import Timer
from shared.runtime.rows import RowMap
from shared.runtime.service import Handling, Service


@dataclass(slots=True)  # not frozen: made for every message, and a frozen one takes four times as long
class Applied:
    """One message took effect. `sequence` is 0 for messages that are known by their id."""

    message: str
    """Source and id, or the id of a timer and when it was due."""
    stream: str
    sequence: int
    type: str
    timer: bool


APPLIED = RowMap(
    Applied,
    Table("applied", MetaData(), Column("message", Text, primary_key=True), *(
        Column(name, Text) for name in ("stream", "sequence", "type", "timer"))),
)  # fmt: skip


class Bug(RuntimeError):
    """What a handler fails with while it has a bug."""


def recorded(service: Service[Any], broken: Callable[[Desk, Any], bool]) -> Service[Any]:
    """The service with a record of what its handlers did; `broken` says which messages meet a bug for now."""

    def desk() -> Desk:
        made: Desk = service.desk()
        made.applied = made.ledger(APPLIED)  # type: ignore[attr-defined]
        return made

    def handled(handling: Handling[Any, Any]) -> Handling[Any, Any]:
        def handler(message: Any, desk: Any) -> Any:
            answer = handling.handler(message, desk)
            said = desk.envelope
            timer = isinstance(message, Timer)
            name = f"{said.id} {said.time}" if timer else f"{said.source} {said.id}"
            desk.applied.add(Applied(name, said.stream, said.sequence or 0, said.type, timer))
            if broken(desk, message):  # last, so that all that the handler did must be undone
                raise Bug("of the day")
            return answer

        return replace(handling, handler=handler)

    return replace(service, desk=desk, consumes=tuple(map(handled, service.consumes)))
