"""After-sales over HTTP, on a real PostgreSQL: who may ask, and what the people at a desk read (A1, A3, X4)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.aftersales import api
from services.aftersales.tables import metadata
from shared.values import Actor, ActorKind
from tests.aftersales.desk import Shop
from tests.harness import AGENT, SHOP, SUPERVISOR
from tests.served import LONG_AGO, Served, grown, reads_few, served

DEVICE = Actor(kind=ActorKind.DEVICE, name="scanner-1")


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
async def desk(postgres_url: str, shop: Shop) -> AsyncIterator[Served]:
    """An order of 2 × TEA at 50.00, delivered."""
    async with served(postgres_url, metadata, shop.bench, api.router, under="/v1/cases") as one:
        await shop.placed()
        await shop.delivered()
        yield one


async def refund(desk: Served, shop: Shop, amount: int, actor: Actor = AGENT) -> str:
    body = {"kind": "refund_only", "order_id": shop.order_id, "amount": amount, "reason": "a dent"}
    return str((await desk.post("", body, actor))["case_id"])


@pytest.mark.requirement("X4")
@pytest.mark.parametrize("actor", [SHOP, DEVICE])
async def test_cases_are_opened_and_decided_by_people(desk: Served, shop: Shop, actor: Actor) -> None:
    case_id = await refund(desk, shop, 100)
    body = {"kind": "refund_only", "order_id": shop.order_id, "amount": 100, "reason": "a dent"}
    for path, said in (
        ("", body),
        (f"/{case_id}/approve", {}),
        (f"/{case_id}/reject", {"reason": "no"}),
    ):
        assert (await desk.post(path, said, actor, status=403))["code"] == "wrong_kind"


@pytest.mark.requirement("A3")
async def test_an_approval_takes_a_reason_and_nothing_else(desk: Served, shop: Shop) -> None:
    path = f"/{await refund(desk, shop, 100)}/approve"
    assert (await desk.post(path, {"reasn": "seen"}, SUPERVISOR, status=422))["field"] == "reasn"
    await desk.post(path, {"reason": "seen on a photo"}, SUPERVISOR)
    history = (await desk.get(order_id=shop.order_id))[0]["history"]
    assert any(line.endswith("seen on a photo") for line in history)


@pytest.mark.requirement("A1")
async def test_cases_are_listed_to_the_end_and_by_whether_they_are_open(desk: Served, shop: Shop) -> None:
    cases = [await refund(desk, shop, 100) for _ in range(3)]
    await desk.post(f"/{cases[1]}/approve", None, SUPERVISOR)
    first = await desk.get(limit=2)
    rest = await desk.get(after=first[-1]["case_id"])
    assert [case["case_id"] for case in (*first, *rest)] == cases
    assert [case["case_id"] for case in await desk.get(open=False)] == [cases[1]]
    assert [case["case_id"] for case in await desk.get(open=True)] == [cases[0], cases[2]]
    assert (await desk.get(after="nobody", expect=422))["field"] == "after"


@pytest.mark.requirement("A1")
async def test_no_list_is_found_by_looking_at_all_cases_there_ever_were(desk: Served, shop: Shop) -> None:
    await refund(desk, shop, 100)
    await grown(
        desk.pool, "cases", case_id="'old-' || n", opened_at=LONG_AGO, state="'closed'", order_id="'o-' || n"
    )
    await grown(desk.pool, "known_orders", order_id="'o-' || n")
    asked: tuple[dict[str, Any], ...] = (
        {}, {"open": True}, {"open": False}, {"state": "closed"}, {"state": "awaiting_approval"}, {"order_id": "o-7"},
        {"after": "old-9"}, {"open": True, "after": "old-9"},
    )  # fmt: skip
    for params in asked:
        async with reads_few(desk.pool, "cases", params):
            await desk.get(limit=5, **params)


@pytest.mark.requirement("A3")
async def test_a_case_says_what_it_would_pay_by_now(desk: Served, shop: Shop) -> None:
    asked = [{"sku": "TEA", "quantity": 2}]
    body = {"kind": "return", "order_id": shop.order_id, "lines": asked, "reason": "changed_mind"}
    back = (await desk.post("", body))["case_id"]
    await desk.post(f"/{await refund(desk, shop, 9_000)}/approve", None, SUPERVISOR)
    case = await desk.get(f"/{back}")
    assert (case["amount"], case["would_pay"]) == (10_000, 1_000)


@pytest.mark.requirement("A1")
async def test_the_history_of_a_case_tells_what_the_dock_found(desk: Served, shop: Shop) -> None:
    asked = [{"sku": "TEA", "quantity": 2}]
    body = {"kind": "return", "order_id": shop.order_id, "lines": asked, "reason": "changed_mind"}
    case_id = (await desk.post("", body))["case_id"]
    await shop.came_back(case_id)
    history = [line.split(": ", 1)[1] for line in (await desk.get(f"/{case_id}"))["history"]]
    assert history[-4:] == [
        "arrived at the dock",
        "inspected: 2 of TEA as_new",
        "100.00 CNY to be paid back",
        "closed",
    ]
