"""One PostgreSQL for all tests of notify that need one."""

from collections.abc import Iterator

import pytest

from tests.notify.house import database


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Its URL."""
    with database() as url:
        yield url
