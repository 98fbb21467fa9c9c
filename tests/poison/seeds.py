"""Two seeds for every fuzz: one that stays, so that a run asks what the run before asked, and a fresh one, told where it finds
something. HANDOVER_FUZZ_SEED=… gives the fresh one, to repeat a run.
"""

import os
import secrets
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import HealthCheck, settings

FRESH = os.environ.get("HANDOVER_FUZZ_SEED") or secrets.token_hex(4)

seeded = pytest.mark.parametrize("seed", ["a", "fresh"])
"""A test that is run from both seeds."""


def fuzz(seed: str, examples: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Runs what hypothesis is to draw for with so many examples from a seed; a failure says how to repeat it."""

    def of(given: Callable[[], None]) -> Callable[[], None]:
        chosen = FRESH if seed == "fresh" else seed
        drawn = settings(
            max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck)
        )(hypothesis.seed(chosen)(given))

        def run() -> None:
            try:
                drawn()
            except BaseException as error:
                error.add_note(
                    f"repeat it: HANDOVER_FUZZ_SEED={chosen} .venv/bin/pytest tests/poison -k fresh"
                )
                raise

        return run

    return of
