"""A lifecycle is a table: while a thing is in this state and this happens, it becomes that.

Every cell of the grid (state × event) has one of three answers: it *moves* the thing, it is *overtaken* (late or
twice: nothing to do, and said so), or it is *not allowed*. Overtaken cells are listed on purpose, so that a silent
"nothing happens" is always a decision.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)


class NotAllowed(Exception):
    """This cannot happen while the thing is in that state; nothing was changed."""

    def __init__(self, lifecycle: str, state: StrEnum, event: type) -> None:
        super().__init__(f"{event.__name__} is not possible while the {lifecycle} is {state.value}")
        self.state = state
        self.event = event


@dataclass(frozen=True, slots=True)
class Lifecycle(Generic[S]):
    """The states of one kind of thing and what moves it; make one with `lifecycle`."""

    name: str
    states: type[S]
    moves: dict[tuple[S, type], S]
    overtaken: frozenset[tuple[S, type]]

    def next(self, state: S, event: type) -> S | None:
        """The state after `event`, or None when the event is overtaken (late or twice).

        Raises NotAllowed when the event cannot happen in this state.
        """
        after = self.moves.get((state, event))
        if after is None and (state, event) not in self.overtaken:
            raise NotAllowed(self.name, state, event)
        return after

    def allows(self, state: S, event: type) -> bool:
        """True when `event` moves a thing that is in `state`."""
        return (state, event) in self.moves

    @property
    def events(self) -> list[type]:
        """What the lifecycle knows of, in the order of the table."""
        return list(
            dict.fromkeys([e for _, e in self.moves] + sorted((e for _, e in self.overtaken), key=str))
        )

    def mermaid(self) -> str:
        """The lifecycle as a Mermaid state diagram, for the generated docs."""
        lines = ["stateDiagram-v2"]
        lines += [f"    {a.value} --> {b.value}: {e.__name__}" for (a, e), b in self.moves.items()]
        return "\n".join(lines)


def lifecycle(
    name: str,
    states: type[S],
    *moves: tuple[S | Iterable[S], type, S],
    overtaken: Iterable[tuple[S | Iterable[S], type]] = (),
) -> Lifecycle[S]:
    """Build a lifecycle from rows (while, this happens, becomes); the first part may be several states.

    Raises ValueError when two rows answer the same cell, since then the table does not say what happens.
    """
    table: dict[tuple[S, type], S] = {}
    for while_, event, becomes in moves:
        for state in _several(while_):
            if (state, event) in table:
                raise ValueError(f"{name}: two answers for {event.__name__} while {state.value}")
            table[state, event] = becomes
    late = {(state, event) for while_, event in overtaken for state in _several(while_)}
    if both := late & table.keys():
        raise ValueError(f"{name}: cells both move and are overtaken: {sorted(str(c) for c in both)}")
    return Lifecycle(name, states, table, frozenset(late))


def _several(states: S | Iterable[S]) -> list[S]:
    return [states] if isinstance(states, StrEnum) else list(states)
