"""What each event makes: whom it tells, once (N1, N2, N3, N6)."""

import json
from typing import Any

import pytest

from services.notify.handlers import service
from services.notify.routing import PLANS, Routing, Webhook
from services.notify.tables import Message
from services.notify.texts import BUYER, STAFF
from shared.events.aftersales import CaseKind
from shared.events.orders import AddressConfirmed, Hold
from shared.events.warehouse import ShipmentShipped, StockDepleted
from shared.values import DeliveryMethod
from tests.builders import PERSONAL
from tests.harness import Bench
from tests.notify.news import (
    ORDER,
    authorized,
    canceled,
    for_buyers,
    for_staff,
    held,
    packed,
    placed,
    shipped,
)

HOOKS = (
    Webhook("erp", "http://127.0.0.1:1/", "whsec_" + "A" * 32, ("orders.*", "warehouse.shipment_shipped.v1")),
    Webhook("shop", "http://127.0.0.1:1/", "whsec_" + "A" * 32, ("*",)),
)


def planned(bench: Bench[Any]) -> list[Message]:
    return bench.store.rows("messages")


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("template", for_buyers())
async def test_buyers_are_told_of_each_step_that_concerns_them(template: str) -> None:
    bench = Bench(service())
    await bench.hear(placed(), for_buyers()[template])
    assert [(m.template, m.audience, m.state) for m in planned(bench)] == [(template, "buyer", "planned")]


@pytest.mark.requirement("N1")
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (CaseKind.RETURN, True),
        (CaseKind.LATE_CANCEL, True),
        (None, True),  # older than the field
        (CaseKind.RETURNED_PARCEL, False),
        (CaseKind.REFUSED_COD, False),
    ],
)
async def test_only_a_buyer_who_has_or_gets_the_goods_is_asked_to_send_them_back(
    kind: CaseKind | None, told: bool
) -> None:
    bench = Bench(service())
    await bench.hear(placed(), authorized(kind))
    assert ("return_authorized" in [m.template for m in planned(bench)]) == told


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("method", DeliveryMethod)
async def test_whoever_collects_the_goods_is_not_told_that_they_are_on_their_way(
    method: DeliveryMethod,
) -> None:
    bench = Bench(service(Routing(webhooks=HOOKS)))
    await bench.hear(placed(), shipped(delivery_method=method))
    told = [m.template for m in planned(bench) if m.event_type == ShipmentShipped.wire_type]
    letters = [] if method is DeliveryMethod.SELF_PICKUP else ["shipped"]
    assert sorted(told) == ["event", "event", *letters], "systems are told all the same"


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("method", [*DeliveryMethod, None])
async def test_only_whoever_fetches_the_goods_is_told_that_they_are_ready(
    method: DeliveryMethod | None,
) -> None:
    bench = Bench(service())
    await bench.hear(placed(), packed(method))
    told = ["ready_for_pickup"] if method is DeliveryMethod.SELF_PICKUP else []
    assert [m.template for m in planned(bench)] == told


@pytest.mark.requirement("N2")
async def test_staff_are_told_of_what_somebody_must_look_into() -> None:
    bench = Bench(service())
    await bench.hear(*for_staff().values())
    assert {(m.template, m.audience) for m in planned(bench)} == {(t, "staff") for t in STAFF}


@pytest.mark.requirement("N2", "O7")
@pytest.mark.parametrize("hold", Hold)
async def test_staff_are_told_of_a_hold_that_waits_for_them_and_of_no_other(hold: Hold) -> None:
    bench = Bench(service())
    await bench.hear(placed(), held(hold))
    waits = hold in (Hold.DUPLICATE_SUSPECTED, Hold.UNREACHABLE_ADDRESS, Hold.AWAITING_AUDIT)
    assert [m.template for m in planned(bench)] == (["held"] if waits else [])


def test_every_plan_has_a_template_test() -> None:
    for audience, events, templates in (("buyer", for_buyers(), BUYER), ("staff", for_staff(), STAFF)):
        assert set(events) == set(templates)
        assert {p.template for p in PLANS.values() if p.audience == audience} <= set(templates)


@pytest.mark.requirement("N3")
async def test_each_webhook_gets_the_events_that_it_asked_for() -> None:
    bench = Bench(service(Routing(webhooks=HOOKS)))
    await bench.hear(placed(), shipped(), StockDepleted(sku="TEA"))
    told = {(m.audience, m.event_type.split(".")[1]) for m in planned(bench) if m.template == "event"}
    assert told == {
        ("erp", "order_placed"),
        ("erp", "shipment_shipped"),
        ("shop", "order_placed"),
        ("shop", "shipment_shipped"),
        ("shop", "stock_depleted"),
    }
    assert {m.channel for m in planned(bench) if m.template == "event"} == {"webhook:erp", "webhook:shop"}


@pytest.mark.requirement("N6")
async def test_an_event_read_again_makes_no_second_message() -> None:
    bench = Bench(service(Routing(webhooks=HOOKS)))
    read = [bench.incoming(event) for event in (placed(), canceled(), shipped())]
    await bench.turns.run(read)
    before = sorted(m.message_id for m in planned(bench))
    await bench.turns.run(read)
    bench.store.tables[
        "cursors"
    ].clear()  # as after a database was restored and its topics are read from the start
    await bench.turns.run(read)
    assert sorted(m.message_id for m in planned(bench)) == before
    assert bench.store.rows("parked") == []


@pytest.mark.requirement("N6")
async def test_two_services_events_with_the_same_place_in_their_stream_are_two_messages() -> None:
    bench = Bench(service(Routing(webhooks=HOOKS)))
    await bench.hear(placed(), shipped())
    first = {m.event_id for m in planned(bench)}
    assert len(first) == 2, "order/1 of orders and order/1 of the warehouse are two events"


@pytest.mark.requirement("X4")
async def test_messages_hold_nothing_personal() -> None:
    bench = Bench(service(Routing(webhooks=HOOKS)))
    await bench.hear(placed(), *for_buyers().values())
    stored = json.dumps([m.facts for m in planned(bench)], ensure_ascii=False)
    assert all(
        part not in stored
        for part in (PERSONAL.contact.name, PERSONAL.contact.phone, PERSONAL.address.street)
    )


@pytest.mark.requirement("N1")
async def test_a_corrected_contact_is_the_one_that_is_told() -> None:
    bench = Bench(service())
    moved = PERSONAL.model_copy(
        update={"contact": PERSONAL.contact.model_copy(update={"email": "new@example.org"})}
    )
    confirmed = AddressConfirmed(
        order_id=ORDER, corrected=True, delivery_method=DeliveryMethod.COURIER, personal=moved
    )
    await bench.hear(placed(), confirmed)
    assert bench.row("contacts", ORDER).contact.email == "new@example.org"
