"""Where a simulated loop may be interrupted: it goes on when the scheduler says so, or never again."""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any


@coroutine
def step(name: str) -> Generator[str, None, None]:
    """`await step(name)` hands control to the scheduler."""
    yield name


class Fiber:
    """One loop of a host: `work` makes one round of it, begun when `due` says that there is something to do."""

    def __init__(self, name: str, work: Callable[[], Coroutine[Any, Any, None]], due: Callable[[], object]):
        self.name = name
        self.at = ""
        """The step at which it stands; empty between rounds."""
        self.due = due
        self.round: Coroutine[Any, Any, None] | None = None
        """The round in hand; None between rounds, the next of which begins when something is `due`."""
        self._work = work

    def advance(self) -> None:
        """Run to the next step."""
        if self.round is None:
            self.round = self._work()
        try:
            self.at = self.round.send(None)
        except StopIteration:
            self.round, self.at = None, ""

    def kill(self) -> None:
        """Stop where it stands: nothing after that step happens."""
        if self.round is not None:
            self.round.close()
        self.round, self.at = None, ""
