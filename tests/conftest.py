"""Tests that take minutes, need Docker or draw from a fresh seed run when they are asked for (`pytest -m planted`,
`-m containers`, `-m fresh`) and say so when they do not run.

With HANDOVER_CONTAINERS=required (`make test-containers`, CI) they fail where Docker does not answer instead of being skipped.
"""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.served import database


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL for all tests that ask one service on real tables."""
    with database() as url:
        yield url


ASKED_FOR = {
    "planted": "takes minutes: make test-planted",
    "fresh": "draws from a fresh seed: make test-fresh",
}
"""Markers of tests that run only when they are asked for, and how one asks."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait, for what is away to be missed and for what is back to be found."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what runs only when it is asked for, and `containers` also where it cannot run."""
    for item in items:
        for marker, reason in ASKED_FOR.items():
            if item.get_closest_marker(marker) and marker not in config.getoption("markexpr"):
                item.add_marker(pytest.mark.skip(reason=reason))
    marked = [item for item in items if item.get_closest_marker("containers")]
    if not marked:
        return
    if "containers" not in config.getoption("markexpr"):
        reason = "runs on real Kafka and PostgreSQL in containers: make test-containers"
    elif os.environ.get("HANDOVER_CONTAINERS") == "required" or _docker_answers():
        return
    else:
        reason = "Docker does not answer here"
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=reason))


def _docker_answers() -> bool:
    try:
        return (
            subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
