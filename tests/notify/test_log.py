"""The message log over HTTP, on a real database: what it tells, and that it is read to its end (N1, X4)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.notify.routing import Routing, Webhook
from tests.harness import AGENT, SUPERVISOR
from tests.notify.house import House, house
from tests.notify.news import for_buyers, placed, shipped
from tests.served import LONG_AGO, grown, reads_few

HOOK = Webhook("erp", "http://127.0.0.1:1/hook", "whsec_" + "A" * 32, ("orders.*",))


@pytest.fixture
async def home(postgres_url: str) -> AsyncIterator[House]:
    async with house(postgres_url, Routing(webhooks=(HOOK,))) as one:
        yield one


@pytest.mark.requirement("X4")
async def test_the_log_over_http_holds_no_address_and_no_text(home: House) -> None:
    await home.hear(placed(), shipped())
    for actor in (AGENT, SUPERVISOR):
        async with home.client(actor) as client:
            answer = await client.get(
                "/v1/messages", params={"order_id": "0b8f0c1e-order", "state": "planned"}
            )
            assert answer.status_code == 200
            assert {m["template"] for m in answer.json()} == {"shipped", "event"}
            assert all(part not in answer.text for part in ("王芳", "example.org", "13800000000"))
            assert (await client.get("/v1/messages", params={"limit": 0})).status_code == 422


@pytest.mark.requirement("N1")
async def test_the_log_is_read_to_its_end_and_not_by_looking_at_all_messages_there_ever_were(
    home: House,
) -> None:
    await home.hear(placed(), *for_buyers().values())
    async with home.client(AGENT) as client:

        async def listed(**params: Any) -> list[str]:
            return [m["message_id"] for m in (await client.get("/v1/messages", params=params)).json()]

        whole = await listed()
        first = await listed(limit=4)
        assert first + await listed(after=first[-1]) == whole
        assert (await client.get("/v1/messages", params={"after": "nobody"})).json()["field"] == "after"
        await home.pool.execute("DELETE FROM messages WHERE message_id <> $1", whole[0])
        await grown(
            home.pool,
            "messages",
            message_id="'old-' || n",
            due=LONG_AGO,
            state="'sent'",
            order_id="'o-' || n",
        )
        asked: tuple[dict[str, Any], ...] = (
            {}, {"state": "sent"}, {"state": "planned"}, {"state": "failed"}, {"order_id": "o-7"}, {"after": "old-9"},
        )  # fmt: skip
        for params in asked:
            async with reads_few(home.pool, "messages", params):
                await listed(limit=5, **params)
