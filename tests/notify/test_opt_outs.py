"""What a buyer wants of letters: of all shops or of one, by whose word, and what stands when both were said (N6, X4)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.notify.handlers import SetOptOut
from shared.runtime.messages import Refused
from shared.values import Actor, ActorKind
from tests.harness import AGENT, SHOP, SUPERVISOR
from tests.notify.house import Box, House, house
from tests.notify.news import placed, shipped

OUT, LIFTED = True, False
DEVICE = Actor(kind=ActorKind.DEVICE, name="scanner-07")
HERE, ELSEWHERE, EVERYWHERE = "shop", "other-shop", None


@pytest.fixture
async def home(postgres_url: str) -> AsyncIterator[House]:
    async with house(postgres_url) as one:
        yield one


async def say(home: House, source: str | None, opted_out: bool) -> bool:
    """Whether the buyer is out, as it is answered."""
    said = SetOptOut(buyer_id="buyer-1", source=source, opted_out=opted_out)
    answer = await home.commands.ask(said, AGENT)
    return bool(answer["opted_out"])


async def gets_letters(home: House) -> bool:
    """Whether a letter of the shop that is not necessary reaches the buyer."""
    await home.hear(placed(), shipped())
    box = Box()
    await home.sender(file=box)._send_due("file", box)
    return bool(box.letters)


@pytest.mark.requirement("N6")
@pytest.mark.parametrize(
    "said",
    [
        [(HERE, OUT), (HERE, LIFTED)],
        [(EVERYWHERE, OUT), (EVERYWHERE, LIFTED)],
        [(HERE, OUT), (EVERYWHERE, LIFTED)],
        [(HERE, OUT), (EVERYWHERE, OUT), (EVERYWHERE, LIFTED)],
        [(EVERYWHERE, OUT), (HERE, OUT), (EVERYWHERE, LIFTED)],
        [(EVERYWHERE, OUT), (EVERYWHERE, LIFTED), (HERE, OUT)],
        [(HERE, OUT), (EVERYWHERE, LIFTED), (HERE, OUT)],
        [(HERE, OUT), (EVERYWHERE, LIFTED), (HERE, OUT), (HERE, LIFTED)],
        [(HERE, LIFTED), (EVERYWHERE, OUT)],
        [(EVERYWHERE, LIFTED), (HERE, OUT), (ELSEWHERE, LIFTED)],
    ],
)
async def test_what_is_answered_of_a_buyers_letters_is_what_they_get(
    home: House, said: list[tuple[str | None, bool]]
) -> None:
    answers = [await say(home, source, out) for source, out in said]
    assert answers == [out for _, out in said]
    assert await gets_letters(home) is not [out for source, out in said if source != ELSEWHERE][-1]


@pytest.mark.requirement("N6")
async def test_what_stands_at_all_shops_is_not_lifted_at_one(home: House) -> None:
    await say(home, EVERYWHERE, OUT)
    with pytest.raises(Refused, match="lift that without source") as refused:
        await say(home, HERE, LIFTED)
    assert (refused.value.code, refused.value.status) == ("opted_out_everywhere", 409)
    assert not await gets_letters(home)


@pytest.mark.requirement("N6")
async def test_an_opt_out_from_before_lifting_was_kept_stands_and_can_be_lifted(home: House) -> None:
    older = '{"by": "operator:agent.mei", "at": "2026-03-01T08:00:00Z"}'
    await home.pool.execute("INSERT INTO opt_outs VALUES ('shop buyer-1', $1, 1)", older)
    assert not await gets_letters(home)
    await say(home, EVERYWHERE, LIFTED)
    assert await gets_letters(home)


@pytest.mark.requirement("X4")
async def test_who_opted_a_buyer_out_or_lifted_it_is_seen_and_when(home: House) -> None:
    async with home.client(AGENT) as agent, home.client(SUPERVISOR) as supervisor:

        async def seen(**asked: Any) -> list[tuple[Any, ...]]:
            found = (await agent.get("/v1/opt-outs", params={"buyer_id": "buyer-1"} | asked)).json()
            assert all(entry["at"] == "2026-03-02T01:00:00Z" for entry in found)
            return [(entry["source"], entry["opted_out"], entry["by"]) for entry in found]

        assert await seen(source=HERE) == []
        told: dict[str, Any] = {"buyer_id": "buyer-1", "opted_out": True}
        await agent.post("/v1/opt-outs", json=told | {"source": HERE})
        assert await seen() == []
        assert await seen(source=HERE) == [(HERE, True, "operator:agent.mei")]
        await supervisor.post("/v1/opt-outs", json=told | {"source": HERE})
        assert await seen(source=HERE) == [(HERE, True, "operator:agent.mei")]
        await supervisor.post("/v1/opt-outs", json=told | {"opted_out": False})
        everywhere = (EVERYWHERE, False, "operator:supervisor.chen")
        assert await seen() == [everywhere]
        assert await seen(source=HERE) == [everywhere, (HERE, False, "operator:supervisor.chen")]
        assert await seen(source=ELSEWHERE) == [everywhere]


@pytest.mark.requirement("X4")
async def test_people_and_shops_see_what_a_buyer_wants_and_no_scanner_does(home: House) -> None:
    for actor, status in ((SHOP, 200), (AGENT, 200), (DEVICE, 403)):
        async with home.client(actor) as client:
            answer = await client.get("/v1/opt-outs", params={"buyer_id": "buyer-1"})
            assert answer.status_code == status
