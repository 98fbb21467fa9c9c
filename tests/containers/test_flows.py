"""The same day on Apache Kafka and PostgreSQL as ops run them."""

import asyncio

import pytest

from deploy.commands.demo import play
from deploy.embedded.stack import Stack
from deploy.play.targets import embedded
from tests.containers.parts import on_containers

pytestmark = pytest.mark.containers


@pytest.mark.timeout(300)
@pytest.mark.requirement("X2")
def test_a_day_on_real_kafka_and_postgresql_ends_as_its_stories_go() -> None:
    with on_containers(Stack()) as stack:
        assert asyncio.run(play(embedded(stack), 60, 11))
