"""Orders over HTTP, on a real PostgreSQL: who may ask what, what they see, and that lists and timelines are whole (X4, O14)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.orders import api
from services.orders.handlers import service
from services.orders.tables import metadata
from shared.events.aftersales import CaseKind, CaseOverdue, WaitsFor
from shared.values import Actor, ActorKind, Role
from tests.builders import PERSONAL, SOURCE, confirmed, oid, paid, submitted
from tests.harness import ADMINISTRATOR, AGENT, SHOP, START, SUPERVISOR, Bench
from tests.orders.world import case_opened, delivered, pick_started, refund, shipped
from tests.served import LONG_AGO, Served, auth, grown, reads_few, served

V1 = "/v1/orders"
DEVICE = Actor(kind=ActorKind.DEVICE, name="scanner-1")
SECRETS = (PERSONAL.contact.name, PERSONAL.contact.phone, PERSONAL.contact.email, PERSONAL.address.street)


@pytest.fixture
async def shop(postgres_url: str) -> AsyncIterator[Served]:
    async with served(postgres_url, metadata, Bench(service()), api.router, under=V1) as shop:
        yield shop


@pytest.mark.requirement("O14")
async def test_no_list_is_found_by_looking_at_all_orders_there_ever_were(shop: Served) -> None:
    await shop.bench.outside(submitted())
    await grown(shop.pool, "orders", order_id="'old-' || n", external_number="n", placed_at=LONG_AGO, status="'completed'",
                held="false", buyer_id="'b-' || n")  # fmt: skip
    asked: tuple[dict[str, Any], ...] = (
        {}, {"after": oid()}, {"status": "completed"}, {"status": "placed"}, {"status": "expired"}, {"held": True},
        {"held": False}, {"hold": "address_unconfirmed"}, {"buyer_id": "b-7"}, {"status": "completed", "after": "old-9"},
    )  # fmt: skip
    for params in asked:
        async with reads_few(shop.pool, "orders", params):
            assert len(await shop.get(limit=5, **params)) <= 5


@pytest.mark.requirement("X4")
async def test_the_orders_of_a_buyer_are_not_those_of_another_shops_buyer_of_the_same_number(
    shop: Served,
) -> None:
    for number, source in (("1", SOURCE), ("2", "other-shop"), ("3", SOURCE)):
        await shop.bench.outside(submitted(number, source=source, buyer_id="1001"))
    found = [order["external_number"] for order in await shop.get(buyer_id="1001", source=SOURCE)]
    assert sorted(found) == ["1", "3"]
    assert len(await shop.get(buyer_id="1001")) == 3
    alone = await shop.http.get(f"{V1}?source={SOURCE}", headers=auth())
    assert (alone.status_code, alone.json()["field"]) == (422, "number")


@pytest.mark.requirement("X4")
async def test_nothing_is_told_without_a_token(shop: Served) -> None:
    await shop.bench.outside(submitted())
    for path in ("", f"/{oid()}", f"/{oid()}/timeline", f"?source={SOURCE}&number=T-1"):
        assert (await shop.http.get(V1 + path)).status_code == 401
    for path in ("confirm-address", "holds", "holds/customer_request/lift", "cancel", "confirm-receipt"):
        assert (await shop.http.post(f"{V1}/{oid()}/{path}", json={})).status_code == 401


@pytest.mark.requirement("X4")
async def test_only_people_of_the_shop_see_personal_data_and_nobody_in_a_timeline(shop: Served) -> None:
    await shop.bench.outside(submitted())
    await shop.bench.outside(paid())
    one = f"/{oid()}"
    assert (await shop.get(one))["personal"] == PERSONAL.model_dump(mode="json")
    for actor in (SHOP, DEVICE):
        for path, params in ((one, {}), ("", {}), ("", {"source": SOURCE, "number": "T-1"})):
            seen = str(await shop.get(path, actor, 200, **params))
            assert not [secret for secret in SECRETS if secret and secret in seen]
    for actor in (AGENT, SHOP):
        seen = str(await shop.get(f"{one}/timeline", actor))
        assert not [secret for secret in SECRETS if secret and secret in seen]


@pytest.mark.requirement("X4")
async def test_only_an_administrator_erases_who_a_buyer_was(shop: Served) -> None:
    await shop.bench.outside(submitted())
    await shop.post(f"/{oid()}/cancel", {"reason": "so"})
    body = {"reason": "the buyer asked for it"}
    for actor, code in (
        (AGENT, "role_too_low"),
        (SUPERVISOR, "role_too_low"),
        (SHOP.model_copy(update={"role": Role.ADMINISTRATOR}), "wrong_kind"),
    ):
        assert (await shop.post(f"/{oid()}/erase", body, actor, status=403))["code"] == code
    assert await shop.post(f"/{oid()}/erase", body, ADMINISTRATOR) == {"erased": True}
    assert (await shop.get(f"/{oid()}"))["personal"] is None
    entry = (await shop.get(f"/{oid()}/timeline"))["entries"][-1]
    assert (entry["event"], entry["actor"]) == ("orders.personal_erased.v1", "operator:admin.wu")


@pytest.mark.requirement("X4")
@pytest.mark.parametrize("actor", [SHOP, DEVICE])
async def test_commands_are_for_people(shop: Served, actor: Actor) -> None:
    await shop.bench.outside(submitted())
    problem = await shop.post(f"/{oid()}/cancel", {"reason": "so"}, actor, status=403)
    assert problem["code"] == "wrong_kind"
    assert (await shop.get(f"/{oid()}"))["status"] == "placed"


@pytest.mark.requirement("O7")
async def test_a_hold_is_placed_listed_and_lifted_by_whoever_may(shop: Served) -> None:
    await shop.bench.outside(submitted("T-1", address_confirmed=True))
    await shop.bench.outside(submitted("T-2", address_confirmed=True))
    holds = f"/{oid()}/holds"
    await shop.post(holds, {"hold": "awaiting_audit", "reason": ""}, status=422)
    await shop.post(holds, {"hold": "payment_anomaly", "reason": "so"}, status=409)
    await shop.post(holds, {"hold": "awaiting_audit", "reason": "looks odd"})
    assert [o["order_id"] for o in await shop.get(hold="awaiting_audit")] == [oid()]
    assert await shop.get(hold="payment_anomaly") == []
    lift = f"{holds}/awaiting_audit/lift"
    await shop.post(lift, {"reason": "fine"}, status=403)
    await shop.post(lift, {"reason": ""}, SUPERVISOR, status=422)
    await shop.post(lift, {"reason": "fine"}, SUPERVISOR)
    await shop.post(lift, {"reason": "fine"}, SUPERVISOR, status=409)
    assert await shop.get(hold="awaiting_audit") == []
    entry = (await shop.get(f"/{oid()}"))["holds"][0]
    assert (entry["placed_by"], entry["lifted_by"]) == ("operator:agent.mei", "operator:supervisor.chen")


@pytest.mark.requirement("O7")
async def test_an_old_screen_does_not_lift_a_hold_that_was_placed_anew_since(shop: Served) -> None:
    await shop.bench.outside(submitted(address_confirmed=True))
    await shop.post(f"/{oid()}/holds", {"hold": "awaiting_audit", "reason": "large for a new buyer"})
    await shop.bench.outside(paid())
    (read,) = (await shop.get(f"/{oid()}"))["holds"]
    shop.bench.clock.move_to(START + timedelta(minutes=1, microseconds=7))
    await shop.bench.hear(case_opened(CaseKind.REFUND_ONLY), refund(10000))
    lift = f"/{oid()}/holds/awaiting_audit/lift"
    stale = await shop.post(lift, {"reason": "fine", "seen": read["placed_at"]}, SUPERVISOR, 409)
    assert (stale["code"], stale["field"]) == ("hold_changed", "seen")
    now = await shop.get(f"/{oid()}")
    assert (now["standing_holds"], now["released"]) == (["awaiting_audit"], False)
    await shop.post(lift, {"reason": "fine", "seen": "yesterday"}, SUPERVISOR, 422)
    seen = now["holds"][-1]["placed_at"]
    assert (await shop.post(lift, {"reason": "a gift", "seen": seen}, SUPERVISOR))["holds"] == []


@pytest.mark.requirement("O6")
async def test_an_agent_confirms_and_the_order_goes(shop: Served) -> None:
    await shop.bench.outside(submitted())
    await shop.bench.outside(paid())
    answer = await shop.post(f"/{oid()}/confirm-address")
    assert answer == {"holds": [], "status": "approved"}
    assert [o["order_id"] for o in await shop.get(status="approved", held=False)] == [oid()]


@pytest.mark.requirement("O16")
async def test_an_agent_notes_the_receipt_with_a_reason(shop: Served) -> None:
    await shop.bench.outside(submitted(address_confirmed=True))
    await shop.bench.outside(paid())
    receipt = f"/{oid()}/confirm-receipt"
    assert (await shop.post(receipt, {"reason": "she called"}, status=409))["code"] == "not_shipped"
    await shop.bench.hear(shipped(), delivered())
    assert await shop.post(receipt, {"reason": "she called"}) == {"status": "completed"}
    assert (await shop.get(f"/{oid()}"))["closed_reason"] == "she called"


async def test_a_repeated_command_gets_its_first_answer(shop: Served) -> None:
    await shop.bench.outside(submitted())
    headers = auth() | {"idempotency-key": "k-1"}
    first, again = [
        await shop.http.post(f"{V1}/{oid()}/cancel", json={"reason": "so"}, headers=headers) for _ in range(2)
    ]
    assert (first.json(), again.json()) == ({"status": "canceled"}, {"status": "canceled"})
    assert again.headers["idempotent-replay"] == "true"
    headers = auth() | {"idempotency-key": "k-2"}
    refused = [
        await shop.http.post(f"{V1}/{oid()}/cancel", json={"reason": "so"}, headers=headers) for _ in range(2)
    ]
    assert [one.status_code for one in refused] == [409, 409]
    assert ["idempotent-replay" in one.headers for one in refused] == [False, True]


@pytest.mark.requirement("O7")
async def test_a_hold_that_stands_is_not_placed_again_in_silence(shop: Served) -> None:
    await shop.bench.outside(submitted())
    hold = {"hold": "customer_request", "reason": "travels until Friday"}
    await shop.post(f"/{oid()}/holds", hold)
    assert await shop.post(f"/{oid()}/holds", hold) == {"holds": ["address_unconfirmed", "customer_request"]}
    again = await shop.post(f"/{oid()}/holds", hold | {"reason": "gift wrap"}, status=409)
    assert again["code"] == "hold_stands"


@pytest.mark.requirement("O6")
async def test_nobody_waits_for_an_answer_that_came(shop: Served) -> None:
    await shop.bench.outside(submitted())
    await shop.bench.outside(paid())
    assert (await shop.get(f"/{oid()}"))["answer_by"]
    await shop.post(f"/{oid()}/confirm-address")
    assert (await shop.get(f"/{oid()}"))["answer_by"] is None


@pytest.mark.requirement("O6")
async def test_an_old_screen_does_not_overwrite_what_the_buyer_said_since(shop: Served) -> None:
    await shop.bench.outside(submitted())
    seen = (await shop.get(f"/{oid()}"))["personal"]
    moved = PERSONAL.model_copy(
        update={"address": PERSONAL.address.model_copy(update={"street": "New street 2"})}
    )
    await shop.bench.outside(confirmed(personal=moved))
    for body in ({"seen": seen}, {"seen": seen, "personal": seen}):
        refused = await shop.post(f"/{oid()}/confirm-address", body, status=409)
        assert (refused["code"], refused["field"]) == ("address_changed", "seen")
    now = (await shop.get(f"/{oid()}"))["personal"]
    assert now["address"]["street"] == "New street 2"
    await shop.post(f"/{oid()}/confirm-address", {"seen": now})


@pytest.mark.requirement("O3")
async def test_what_was_paid_twice_is_shown_as_too_much(shop: Served) -> None:
    await shop.bench.outside(submitted())
    for payment in ("p-1", "p-2"):
        await shop.bench.outside(paid(payment_id=payment))
    shown = [(p["amount"], p["excess"], p["counts"]) for p in (await shop.get(f"/{oid()}"))["payments"]]
    assert shown == [(10_000, 0, True), (0, 10_000, False)]


@pytest.mark.requirement("O14")
async def test_the_timeline_tells_of_cases_that_wait_too_long(shop: Served) -> None:
    await shop.bench.outside(submitted())
    late = CaseOverdue(
        order_id=oid(), case_id="c-1", kind=CaseKind.RETURN, waits_for=WaitsFor.INSPECTION, since=START
    )
    await shop.bench.hear(late)
    entry = (await shop.get(f"/{oid()}/timeline"))["entries"][-1]
    assert (entry["service"], entry["what"]["case_id"]) == ("aftersales", "c-1")


async def test_a_list_pages_on_without_losing_orders_of_one_instant(shop: Served) -> None:
    numbers = [f"T-{i}" for i in range(7)]
    for number in numbers:
        await shop.bench.outside(submitted(number))
    seen: list[str] = []
    while page := await shop.get(limit=3, after=seen[-1] if seen else None):
        seen += [o["order_id"] for o in page]
    assert sorted(seen) == sorted(oid(n) for n in numbers)


async def test_an_order_is_found_by_its_number(shop: Served) -> None:
    await shop.bench.outside(submitted())
    assert [o["order_id"] for o in await shop.get(source=SOURCE, number="T-1")] == [oid()]
    assert await shop.get(source=SOURCE, number="T-9") == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nobody", 404), ("/nobody/timeline", 404), ("?number=T-1", 422), ("?status=lost", 422), ("?hold=lost", 422),
        ("?limit=0", 422), ("?limit=501", 422), ("?after=nobody", 422), ("/a%00b", 422), ("?source=a%00b&number=T-1", 422),
        ("?source=shop", 422), ("?stauts=held", 422), ("/nobody/timeline?limit=5", 422), ("?status=placed&%00=1", 422),
    ],
)  # fmt: skip
async def test_a_wrong_question_is_answered_as_one(shop: Served, path: str, status: int) -> None:
    response = await shop.http.get(
        V1 + path, headers=auth(Actor(kind=ActorKind.OPERATOR, name="a", role=Role.ORDINARY))
    )
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


COMMANDS: dict[str, dict[str, str]] = {
    "confirm-address": {}, "cancel": {"reason": "so"}, "holds": {"reason": "so", "hold": "customer_request"},
    "holds/customer_request/lift": {"reason": "so"}, "confirm-receipt": {"reason": "so"},
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_misspelled_field_of_a_command_is_not_lost_in_silence(shop: Served, command: str) -> None:
    await shop.bench.outside(submitted())
    before = await shop.get(source=SOURCE, number="T-1")
    body = {**COMMANDS[command], "personnal": ""}
    response = await shop.http.post(f"{V1}/{oid()}/{command}", json=body, headers=auth())
    assert (response.status_code, response.json()["field"]) == (422, "personnal")
    assert await shop.get(source=SOURCE, number="T-1") == before


@pytest.mark.parametrize("order", ["nobody", "a%00b", "%F0%9F%98%80"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_to_no_order_is_refused(shop: Served, order: str, command: str) -> None:
    response = await shop.http.post(f"{V1}/{order}/{command}", json=COMMANDS[command], headers=auth())
    assert response.status_code == (404 if order == "nobody" else 422), response.text


@pytest.mark.requirement("O12")
async def test_what_was_said_later_stands_later_though_its_turn_began_before(shop: Served) -> None:
    await shop.bench.outside(submitted(address_confirmed=True))
    await shop.bench.outside(paid())
    sql = "UPDATE event_log SET time = time - interval '1 s' WHERE sequence = (SELECT max(sequence) FROM event_log)"
    last = await shop.pool.fetchval(f"{sql} RETURNING type")
    entries = (await shop.get(f"/{oid()}/timeline"))["entries"]
    assert entries[-1]["event"] == last


@pytest.mark.requirement("O14")
async def test_the_timeline_says_who_did_what_when_in_all_services_and_who_has_it(shop: Served) -> None:
    await shop.bench.outside(submitted(address_confirmed=True))
    await shop.bench.outside(paid())
    shop.bench.clock.move_to(START + timedelta(hours=2))
    await shop.bench.hear(pick_started())
    timeline = await shop.get(f"/{oid()}/timeline")
    entries = timeline["entries"]
    assert timeline["held_by"] == "warehouse: picking"
    assert [e["at"] for e in entries] == sorted(e["at"] for e in entries)
    assert (entries[0]["service"], entries[0]["event"], entries[0]["actor"]) == (
        "orders", "orders.order_placed.v1", "system:shop",
    )  # fmt: skip
    assert (entries[-1]["service"], entries[-1]["event"], entries[-1]["what"]) == (
        "warehouse", "warehouse.fulfillment_pick_started.v1", {"picker": "li"},
    )  # fmt: skip
