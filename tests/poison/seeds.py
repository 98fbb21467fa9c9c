"""Two seeds for every fuzz: one that stays, so that `make test` asks what it asked before, and for `make test-fresh` one that
nobody has drawn from yet, told where it finds something. HANDOVER_FUZZ_SEED=… gives that one, to repeat a run.
"""

import os
import secrets
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import HealthCheck, settings

FRESH = os.environ.get("HANDOVER_FUZZ_SEED") or secrets.token_hex(4)

seeded = pytest.mark.parametrize("seed", ["a", pytest.param("fresh", marks=pytest.mark.fresh)])
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
                if seed == "fresh":
                    error.add_note(f"repeat it: HANDOVER_FUZZ_SEED={chosen} make test-fresh")
                raise

        return run

    return of
