"""Rules of the trade gone wrong, one at a time (`plant.py`)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from deploy.simulate import promises, shelves, told, trade
from deploy.simulate.accounts import accounts
from deploy.simulate.story import STREET
from services.aftersales.domain.known_order import KnownOrder
from services.aftersales.handlers import asked, coming_back, disputes, facts
from services.notify import handlers as letters
from services.notify import routing
from services.notify.tables import Message
from services.orders.handlers import closing
from services.warehouse.desk import WarehouseDesk
from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.handlers import allocation, picking, tracking, unpacking
from services.warehouse.handlers import stock as incoming
from shared.events.orders import AddressConfirmed
from shared.events.warehouse import FulfillmentCanceled, FulfillmentRefused, ShipmentShipped
from shared.runtime.desk import Desk
from tests.simulate.plant import Plant


def _check_by_anyone(event: Any, desk: Any) -> Any:
    work = desk.work(event.order_id)
    desk.fulfillments.put(replace(work, picker=None, pickers=()))
    answer = _START_CHECK(event, desk)
    after = desk.work(event.order_id)
    desk.fulfillments.put(replace(after, picker=work.picker, pickers=work.pickers))
    return answer


_START_CHECK = picking.start_check


def _check_by_former_picker(event: Any, desk: Any) -> Any:
    work = desk.work(event.order_id)
    desk.fulfillments.put(replace(work, pickers=()))
    answer = _START_CHECK(event, desk)
    desk.fulfillments.put(replace(desk.work(event.order_id), pickers=work.pickers))
    return answer


def _keeps_stock(work: Any, desk: Any, *scrapped: Any) -> None:
    return None


def _handlers(service: str, **instead: Callable[..., Any]) -> tuple[tuple[Any, str, Any], ...]:
    """Replace handlers in a service's CONSUMES by the class name of their message."""
    module = import_module(f"services.{service}.handlers")
    changed = (replace(h, handler=instead.get(h.message.__name__, h.handler)) for h in module.CONSUMES)
    return ((module, "CONSUMES", tuple(changed)),)


def _canceled_although_gone(event: Any, desk: Any) -> None:
    work = desk.fulfillments.get(event.order_id)
    if work is not None and work.state == "shipped":
        desk.publish(FulfillmentCanceled(order_id=event.order_id))
    else:
        allocation.cancel(event, desk)


def _unpacked_in_name_only(command: Any, desk: Any) -> Any:
    parcels = [desk.shipments[shipment_id] for shipment_id in desk.work(command.order_id).shipments]
    answer = unpacking.unpack(command, desk)
    desk.shipments.put(*parcels)
    return answer


def _what_left_is_all(event: Any, desk: Any) -> None:
    facts.late_cancel(event.model_copy(update={"kept_back": ()}), desk)


def _refunds_without_limit(self: KnownOrder, amount: int) -> int:
    return amount + 1


def _refunds_of_all(self: KnownOrder, amount: int) -> int:
    return max(min(amount, self.paid + self.excess - self.refunded), 0)


def _received_whenever(event: Any, desk: Any) -> dict[str, str]:
    order = closing.complete(desk.named(event), "the buyer has the goods", desk, by_buyer=True)
    return {"status": order.status}


def _received_short(event: Any, desk: Any) -> Any:
    return incoming.receive(event.model_copy(update={"quantity": max(event.quantity - 1, 1)}), desk)


def _newest_first(level: Any, since: datetime) -> datetime:
    return _FAR - (since - _FAR)


_FAR = datetime(2030, 1, 1, tzinfo=UTC)


def _lost_as_if_brought(case: Any, found: Any, desk: Any, *, by_rule: bool) -> None:
    coming_back.settle_brought_back(replace(case, no_word=False), found, desk, by_rule=by_rule)


def _shipped_unsaid(event: Any) -> Any:
    return None if isinstance(event, ShipmentShipped) else _PLAN_FOR(event)


_PLAN_FOR = routing.plan_for


def _never_corrected(event: Any, desk: Any) -> None:
    if not isinstance(event, AddressConfirmed):
        _REMEMBER(event, desk)


_REMEMBER = letters.remember


def _with_the_street(**facts: Any) -> FulfillmentRefused:
    return FulfillmentRefused(**facts | {"detail": f"nobody delivers to {STREET}"})


def _without_tracking(facts: dict[str, Any], **others: Any) -> Message:
    return Message(facts={k: v for k, v in facts.items() if k != "tracking_number"}, **others)


WRONG_RULES: dict[str, Plant] = {
    "check-by-picker": Plant("whoever picked may check", (trade.parcels,),
        _handlers("warehouse", CheckStartScanned=_check_by_anyone)),
    "check-by-former-picker": Plant("who picked a part before the order was taken back may check", (trade.parcels,), _handlers(
        "warehouse", CheckStartScanned=_check_by_former_picker)),
    "void-leaves": Plant("a parcel that was unpacked may still leave", (trade.parcels,), _handlers(
        "warehouse", Unpack=_unpacked_in_name_only)),
    "gone-in-books": Plant("pieces of a canceled parcel that left stay in the books", (trade.stock,), (
        (WarehouseDesk, "lose", lambda self, sku, quantity, order_id: None),)),
    "left-unsaid": Plant("nobody is told that a canceled parcel left", (trade.parcels,), (
        (tracking, "left_although_canceled", lambda shipment, desk: None),)),
    "counter-not-delivery": Plant("what was taken over the counter is not delivered", (trade.parcels,), (
        (Fulfillment, "fetched_by_buyer", False),)),
    "cash-dropped": Plant("cash that is told of later is dropped", (trade.money,), (
        (tracking, "collect", lambda shipment, cash, at, desk: shipment),)),
    "received-too-early": Plant("a receipt is taken for goods that have not left", (promises.received,), _handlers(
        "orders", ReceiptConfirmed=_received_whenever)),
    "own-request": Plant("whoever asked for money grants it", (promises.decided,), (
        (asked, "may_approve", lambda case, actor, stake, limit: None),)),
    "letter-forgotten": Plant("buyers are not told that their parcel left", (told.letters,),
        ((letters, "plan_for", _shipped_unsaid),)),
    "letter-to-old-address": Plant("letters go where the buyer was before they corrected it", (told.reached,), (
        (letters, "remember", _never_corrected),)),
    "buyer-not-forgotten": Plant("who the buyer was stays in the log after it was erased", (told.forgotten,), (
        (Desk, "erase", lambda self, stream: None),)),
    "street-in-a-reason": Plant("the reason of a refusal says where the buyer lives", (told.unnamed,), (
        (allocation, "FulfillmentRefused", _with_the_street),)),
    "letter-without-tracking": Plant("a letter does not tell all that its event said", (told.letters,), (
        (letters, "Message", _without_tracking),)),
    "newest-first": Plant("who came last for a short SKU is served first", (shelves.served,),
        ((allocation, "place_in", _newest_first),)),
    "stock-short": Plant("a piece of each box is not booked in", (shelves.goods,),
        _handlers("warehouse", StockScanned=_received_short)),
    "stock-kept": Plant("a canceled order keeps its stock", (trade.stock,), ((allocation, "give_back", _keeps_stock),)),
    "canceled-though-gone": Plant("an order is called canceled after its parcel left", (trade.parcels,), _handlers(
        "warehouse", CancelRequested=_canceled_although_gone)),
    "kept-back-unpaid": Plant("the price of what a cancel kept back is not paid back before the rest is here", (accounts,),
        _handlers("aftersales", CancelRefused=_what_left_is_all), within=10_000),
    "rest-forgotten": Plant(
        "of a canceled order in several parcels only the first that comes back is paid", (trade.money, accounts), (
        (coming_back, "apart", lambda case, pieces, desk: case),)),
    "disputed-by-time": Plant("a parcel that its courier then said to be delivered is paid by time", (accounts,), _handlers(
        "aftersales", ShipmentEndDisputed=lambda event, desk: None)),
    "lost-given-up": Plant("a buyer who canceled what its courier lost is refused by time", (accounts,), (
        (coming_back, "unheard_of", lambda case, known, cases: ()),)),
    "lost-beside-brought": Plant(
        "a parcel declared lost beside one that turned round is paid with nothing", (trade.ends, accounts), (
        (disputes, "settle_brought_back", _lost_as_if_brought),)),
    "late-cash-kept": Plant("cash that is told of after its goods came back is kept", (accounts,), (
        (KnownOrder, "owed_after", lambda self, before: 0),), within=10_000),
    "excess-of-price": Plant("what is given back of an overpayment is taken from the price", (trade.money, accounts), (
        (KnownOrder, "excess_left", lambda self, cases: 0), (KnownOrder, "refundable", _refunds_of_all))),
    "refund-unlimited": Plant("more is refunded than was paid", (trade.money, accounts),
        ((KnownOrder, "refundable", _refunds_without_limit),)),
}  # fmt: skip
