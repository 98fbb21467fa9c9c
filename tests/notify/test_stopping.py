"""A stop lets letters in hand leave and books them; what was not begun is left to another sender, at once (N6)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from pydantic import SecretStr

from services.notify.channels import Letter
from services.notify.handlers import service
from services.notify.sender import AT_ONCE, SEND_SECONDS, Sender
from services.notify.tables import MessageState
from services.notify.texts import Texts
from services.notify.troubles import TroubleGauges
from shared.runtime.running import FINISH_SECONDS, Runtime
from shared.runtime.settings import Settings
from shared.values import Locale
from tests.harness import Bench
from tests.notify.house import Box, House, house
from tests.notify.news import placed, shipped
from tests.served import PUBLIC

pytestmark = pytest.mark.requirement("N6")


@pytest.fixture
async def home(postgres_url: str) -> AsyncIterator[House]:
    """Notify with empty tables."""
    async with house(postgres_url) as one:
        yield one


@pytest.fixture
async def runtime(home: House, postgres_url: str) -> Runtime:
    """A running replica, without Kafka, on the tables of this house."""
    settings = Settings(
        database_url=SecretStr(postgres_url), kafka="127.0.0.1:1", http_port=1, token_public_key=PUBLIC
    )
    runtime = Runtime(service(), settings)
    runtime.background.append(TroubleGauges(runtime).run)
    return runtime


class Slow(Box):
    """Takes letters as soon as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go = asyncio.Event()

    async def send(self, letter: Letter) -> None:
        """Wait, then keep it."""
        self.begun += 1
        await self.go.wait()
        await super().send(letter)


async def test_letters_in_hand_leave_and_are_booked_and_the_rest_is_given_back(
    home: House, runtime: Runtime
) -> None:
    orders = [f"o-{n}" for n in range(AT_ONCE + 5)]
    box = Slow()
    sender = Sender(
        runtime, {"file": box}, Texts("Tea House", "Asia/Shanghai"), "duty@shop.example", Locale.EN
    )
    runtime.background.append(sender.run)
    await runtime.start()
    bench = Bench(runtime.service)
    await runtime.turns.run([bench.incoming(event) for o in orders for event in (placed(o), shipped(o))])
    async with asyncio.timeout(10):
        while box.begun < AT_ONCE:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(runtime.stop())
        await asyncio.sleep(0.1)
        box.go.set()
        await stopping
    kept = await home.messages()
    assert len(box.letters) == AT_ONCE
    assert {m.message_id for m in kept if m.state is MessageState.SENT} == {m.message_id for m in box.letters}
    assert {(m.state, m.tries) for m in kept if m.state is not MessageState.SENT} == {
        (MessageState.PLANNED, 0)
    }


async def test_a_replica_with_nothing_in_hand_stops_at_once(runtime: Runtime) -> None:
    await runtime.start()
    async with asyncio.timeout(5):
        await runtime.stop()


def test_a_stop_waits_as_long_as_a_letter_may_take_and_the_container_is_not_killed_before() -> None:
    assert FINISH_SECONDS > SEND_SECONDS
    compose = yaml.safe_load(Path("docker-compose.yml").read_text())
    requests, connections = 10, 10
    grace = int(compose["services"]["notify"]["stop_grace_period"].removesuffix("s"))
    assert grace > requests + FINISH_SECONDS + connections
