"""One stack for each file: all its poison goes into the same four services."""

from collections.abc import Iterator

import pytest

from deploy.embedded.stack import Stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack
