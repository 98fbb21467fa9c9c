"""A fault that is put into a copy of a real step or rule, to show that the simulator finds it: a check that cannot fail proves
nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True)
class Plant:
    """One fault. `breaks` are the rules of the simulator any of which tells of it, `patches` (where, name, what stands there
    instead)."""

    wrong: str
    breaks: tuple[Callable[..., Any], ...]
    patches: tuple[tuple[Any, str, Any], ...]
    within: int = 3000
    """Orders: so many that dice which never meet it are rarer than one in a thousand."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The fault is there while the block runs."""
        applied = [patch.object(where, name, instead) for where, name, instead in self.patches]
        for one in applied:
            one.start()
        try:
            yield
        finally:
            for one in applied:
                one.stop()
