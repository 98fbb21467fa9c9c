"""Released orders get their stock, or wait for it in turn; canceled ones give it back (W2, W6, O10)."""

from collections.abc import Collection

from services.warehouse.desk import Wants, WarehouseDesk
from services.warehouse.domain.fulfillment import (
    FULFILLMENT,
    Fulfillment,
    FulfillmentState,
    opened,
    take_off,
)
from services.warehouse.domain.shipment import SHIPMENT, ShipmentState
from services.warehouse.domain.stock import (
    Move,
    MoveKind,
    Reserved,
    Short,
    joined,
    missing,
    place_in,
    reserve,
)
from services.warehouse.handlers.leaving import all_ended
from services.warehouse.tables import Backorder, backorder_key
from shared.events.orders import CancelRequested, OrderCanceled, OrderReleased
from shared.events.warehouse import (
    FulfillmentAllocated,
    FulfillmentBackordered,
    FulfillmentCanceled,
    FulfillmentCancelRefused,
    FulfillmentRefusal,
    FulfillmentRefused,
)
from shared.goods import as_pieces, by_sku
from shared.lifecycle import NotAllowed
from shared.replacing import replace
from shared.runtime.messages import Timer
from shared.values import PaymentMethod, SkuQuantity


class Reallocate(Timer, name="warehouse.reallocate", at_once=True):
    """Stock of a SKU came free: serve the orders that wait for it, oldest first."""

    sku: str


def offer(sku: str, desk: WarehouseDesk) -> None:
    """Pieces came free: they are for who waits; until these were asked, newcomers queue behind them (W2)."""
    level = desk.level(sku)
    if level.waiting:
        desk.levels.put(replace(level, offering=True, offered_to=None))
        desk.timers.set(Reallocate(sku=sku), desk.now)


def allocate(event: OrderReleased, desk: WarehouseDesk) -> None:
    """Take a release: refuse what no courier brings there, reserve every line, or put the order on backorder (W2, W6)."""
    known = desk.fulfillments.get(event.order_id)
    if known is not None:  # only what was refused is released again, and of that there is no work
        raise NotAllowed(FULFILLMENT.name, known.state, OrderReleased)
    if (why := _nobody_brings(event, desk)) is not None:
        desk.publish(why)
        return
    serve(opened(event, desk.now), desk)


def _nobody_brings(event: OrderReleased, desk: WarehouseDesk) -> FulfillmentRefused | None:
    """Why no courier takes the order, be it for its heaviest piece, as far as weights are known; None when one does (W6)."""
    address, method = event.personal.address if event.personal else None, event.delivery_method
    cod = event.payment_method is PaymentMethod.COD
    known = [sku for line in event.lines if (sku := desk.skus.get(line.sku)) is not None]
    heaviest = max(known, key=lambda sku: sku.weight_grams, default=None)

    def takes(grams: int) -> bool:
        return (
            address is not None
            and desk.couriers.choose(address, method, cod=cod, weight_grams=grams) is not None
        )

    if takes(heaviest.weight_grams if heaviest else 0):
        return None
    heavy = heaviest if takes(0) else None
    what = f"{heavy.sku}, of {heavy.weight_grams} g a piece, " if heavy else ""
    return FulfillmentRefused(
        order_id=event.order_id,
        reason=FulfillmentRefusal.UNREACHABLE_ADDRESS,
        detail=f"no courier delivers {what}by {method}{' with COD' if cod else ''} to this address",
        heaviest=heavy.sku if heavy else None,
        grams=heavy.weight_grams if heavy else None,
    )


def serve(work: Fulfillment, desk: WarehouseDesk, *, offered: Collection[str] = ()) -> bool:
    """Reserve all that an order wants, or let it wait; True when it was reserved. `offered` as in `reserve`."""
    wanted = work.wanted()
    levels = {sku: desk.level(sku) for sku in wanted}
    match reserve(levels, wanted, work.order_id, str(desk.actor), desk.now, offered=offered):
        case Reserved(moves):
            desk.move(*moves)
            after = FULFILLMENT.next(work.state, FulfillmentAllocated)
            assert after is not None
            desk.fulfillments.put(replace(work, state=after))
            desk.publish(FulfillmentAllocated(order_id=work.order_id, lines=as_pieces(wanted)))
            return True
        case Short(short):
            if work.state is FulfillmentState.BACKORDERED:
                wait_elsewhere(work, desk)
            else:
                wait(work, short, desk)
            return False


def wait(
    work: Fulfillment, short: tuple[SkuQuantity, ...], desk: WarehouseDesk, *, first: bool = False
) -> None:
    """Let an order wait for what is short, behind those who came before it; `first` when it had its stock already."""
    after = FULFILLMENT.next(work.state, FulfillmentBackordered)
    assert after is not None
    desk.fulfillments.put(replace(work, state=after))
    levels = [desk.level(piece.sku) for piece in short]
    # one place for all queues: an order that leaves one and comes back overtakes nobody there
    since = work.released_at if first else max(place_in(level, work.released_at) for level in levels)
    for level in levels:
        desk.levels.put(joined(level, since))
        desk.backorders.put(
            Backorder(backorder_key(work.order_id, level.sku), level.sku, work.order_id, since)
        )
    desk.publish(FulfillmentBackordered(order_id=work.order_id, missing=short, expected_at=None))
    for piece in short:  # a shop sells what never came in
        desk.say_whether_any_is_left(piece.sku)


def wait_elsewhere(work: Fulfillment, desk: WarehouseDesk) -> None:
    """An order that cannot be served with what it was offered waits for what it lacks now, and for nothing else: in a queue for
    goods that are there it would only stand in the way. It keeps the place that it had."""
    wanted = work.wanted()
    rows = {
        sku: row
        for sku in wanted
        if (row := desk.backorders.get(backorder_key(work.order_id, sku))) is not None
    }
    short = missing(wanted, {sku: desk.level(sku).available for sku in wanted})
    lacks = {piece.sku for piece in short}
    if not lacks:
        # all is there, and some of it is being offered to others just now: its turn comes with them
        lacks = rows.keys() | {sku for sku in wanted if desk.level(sku).offering}
    since = min(row.since for row in rows.values())
    for sku in sorted(lacks - rows.keys()):
        desk.levels.put(joined(desk.level(sku), since))
        desk.backorders.put(Backorder(backorder_key(work.order_id, sku), sku, work.order_id, since))
    stop_waiting(work, desk, *(rows.keys() - lacks))
    if {piece.sku for piece in short} - rows.keys():
        desk.publish(FulfillmentBackordered(order_id=work.order_id, missing=short, expected_at=None))


def fall_short(work: Fulfillment, desk: WarehouseDesk, *lost: Move) -> Fulfillment:
    """Pieces of the order turned out damaged or missing, and none are left in their place: it gives back what it has, they are
    booked out, and it waits again, before all that were released after it (W2, W3, W4)."""
    give_back(work, desk, *lost)
    short = missing(work.wanted(), {sku: desk.level(sku).available for sku in work.wanted()})
    none = replace(work, picks=(), picker=None, pickers=(), checker=None, counted=())
    wait(none, short, desk, first=True)
    return desk.fulfillments[work.order_id]


def waiting_for(timer: Reallocate, desk: WarehouseDesk) -> Wants:
    """The level first: it rules who waits; then the next of those who wait, their orders, and all stock that these want."""
    yield desk.levels.want(timer.sku)
    yield desk.backorders.want_group("sku", timer.sku, behind=desk.level(timer.sku).offered_to)
    ids = [b.order_id for b in desk.backorders.group("sku", timer.sku)]
    yield desk.fulfillments.want(*ids)
    works = [w for i in ids if (w := desk.fulfillments.get(i)) is not None]
    yield (
        desk.levels.want(*sorted({sku for w in works for sku in w.wanted()})),
        desk.backorders.want(*(backorder_key(w.order_id, sku) for w in works for sku in w.wanted())),
    )


def reallocate(timer: Reallocate, desk: WarehouseDesk) -> None:
    """First come, first served: the oldest waiting orders that can be served whole (W2).

    One look takes a hundred of them; the next one those behind, for as long as pieces are left.
    """
    last, elsewhere = desk.backorders.more("sku", timer.sku), set[str]()
    for waiting in desk.backorders.group("sku", timer.sku):
        if desk.level(timer.sku).available == 0:
            break
        if last is not None and desk.backorders.place("sku", waiting) > last:
            break  # here for another SKU: its turn comes with those before it
        work = desk.fulfillments[waiting.order_id]
        turn = _turn_of(waiting, work, desk)
        if work.state is FulfillmentState.BACKORDERED and serve(work, desk, offered=turn):
            elsewhere |= stop_waiting(work, desk, *work.wanted())
    level = desk.level(timer.sku)
    to = last if level.available else None
    if (level.offering, level.offered_to) != (to is not None, to):
        desk.levels.put(replace(level, offering=to is not None, offered_to=to))
    if to is not None:
        desk.timers.set(timer, desk.now)
    else:
        desk.say_whether_any_is_left(timer.sku, offered=True)
    # who was served stood there too, before others that may have it now
    for sku in sorted(elsewhere - {timer.sku}):
        if desk.level(sku).available:
            offer(sku, desk)


def _turn_of(waiting: Backorder, work: Fulfillment, desk: WarehouseDesk) -> set[str]:
    """What it is the turn of a waiting order to have: the SKU that it is asked about now, and those that are offered to others
    already who wait behind its place."""
    behind = (
        s for s in work.wanted() if desk.level(s).offered_behind((waiting.since, f"{work.order_id}/{s}"))
    )
    return {waiting.sku, *behind}


def stop_waiting(work: Fulfillment, desk: WarehouseDesk, *skus: str) -> set[str]:
    """Take an order out of the queues of these SKUs; those that it stood in."""
    left = {sku for sku in skus if desk.backorders.get(backorder_key(work.order_id, sku)) is not None}
    for sku in left:
        desk.backorders.remove(backorder_key(work.order_id, sku))
        level = desk.level(sku)
        desk.levels.put(replace(level, waiting=level.waiting - 1))
    return left


def cancel(event: CancelRequested, desk: WarehouseDesk) -> None:
    """Put everything back; where a parcel has left, say so, and keep back what has not (O10)."""
    work = desk.fulfillments.get(event.order_id)
    if work is None:  # the release was refused; nothing was begun
        return
    after = FULFILLMENT.next(work.state, CancelRequested)
    if after is not None:
        _stop(work, after, desk)
    if work.left:
        desk.publish(_refusal(work, desk, kept_back=after is not None))
    elif after is not None:
        desk.publish(FulfillmentCanceled(order_id=event.order_id))


def _refusal(work: Fulfillment, desk: WarehouseDesk, *, kept_back: bool) -> FulfillmentCancelRefused:
    kept = as_pieces(_in_house(work, desk)) if kept_back else ()
    gone = sum(desk.shipments[s].cod_due for s in work.left)
    return FulfillmentCancelRefused(
        order_id=work.order_id,
        reason=f"{'a part of the order' if kept else 'the parcel'} has left the warehouse",
        kept_back=kept,
        cod_due=work.cod_due - gone if kept else 0,
        last=all_ended(work.order_id, desk),
    )


def ended(event: OrderCanceled, desk: WarehouseDesk) -> None:
    """The order is over, by after-sales after some of its parcels left: the others stay here and are unpacked (W7)."""
    work = desk.fulfillments.get(event.order_id)
    if work is not None and (after := FULFILLMENT.next(work.state, OrderCanceled)) is not None:
        _stop(work, after, desk)


def _stop(work: Fulfillment, after: FulfillmentState, desk: WarehouseDesk) -> None:
    if work.state is FulfillmentState.BACKORDERED:
        stop_waiting(work, desk, *work.wanted())
    else:
        give_back(work, desk)
    for shipment_id in work.shipments:
        if (shipment := desk.shipments.get(shipment_id)) is not None:
            state = SHIPMENT.next(shipment.state, CancelRequested) or shipment.state
            canceled = state is ShipmentState.CANCELED and shipment.state is not state
            at = desk.now if canceled else shipment.canceled_at
            desk.shipments.put(replace(shipment, state=state, canceled_at=at))
    desk.fulfillments.put(replace(work, state=after))


def give_back(work: Fulfillment, desk: WarehouseDesk, *lost: Move) -> None:
    """Picked pieces that have not left go back to their shelves, reserved ones to whoever comes next; before these, what was
    lost is booked, so that nobody else can have it."""
    picks = work.picks
    for line in _gone(work, desk):
        picks, _ = take_off(picks, line.sku, line.quantity)
    free = _in_house(work, desk)
    desk.move(
        *(desk.entry(p.sku, MoveKind.PUT_BACK, p.quantity, p.location, work.order_id) for p in picks),
        *(desk.entry(sku, MoveKind.RELEASED, n, "", work.order_id) for sku, n in free.items()),
        *lost,
    )
    for sku in free:
        offer(sku, desk)


def _gone(work: Fulfillment, desk: WarehouseDesk) -> list[SkuQuantity]:
    return [line for shipment in work.left for line in desk.shipments[shipment].lines]


def _in_house(work: Fulfillment, desk: WarehouseDesk) -> dict[str, int]:
    """Pieces of an order that have not left, by SKU."""
    return dict(by_sku(work.lines) - by_sku(_gone(work, desk)))
