"""What the tests on containers share."""

from collections.abc import Iterator

import pytest

from deploy.embedded.child import free_port
from tests.containers.parts import ContainerKafka


@pytest.fixture
def kafka() -> Iterator[ContainerKafka]:
    """A real Kafka node of its own."""
    kafka = ContainerKafka(free_port())
    kafka.start()
    yield kafka
    kafka.stop()
