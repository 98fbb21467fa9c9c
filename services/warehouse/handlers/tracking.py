"""What couriers report: late, doubled, out of order, and for parcels not known yet (W11)."""

from datetime import datetime, timedelta

from services.warehouse.desk import Wants, WarehouseDesk, parcel
from services.warehouse.domain.shipment import (
    SHIPMENT,
    WITH_COURIER,
    Shipment,
    ShipmentState,
    disputes,
    report,
)
from services.warehouse.handlers.leaving import bring_back, collect, deliver, leave, left_although_canceled
from services.warehouse.handlers.scanning import judge_report
from services.warehouse.tables import EarlyReport
from shared.events.inbox import TrackingReported
from shared.events.warehouse import (
    DeliveryFailed,
    ShipmentEndDisputed,
    TrackingStatus,
    TrackingUpdated,
    WarehouseMessageRefused,
)
from shared.replacing import replace
from shared.runtime.messages import Refused, Timer

KEPT_FOR = timedelta(minutes=5)
"""How long a report waits for its parcel. We give the numbers ourselves, at packing: who knows one has seen its label, so a
true report comes at most a moment before we know of that, on another replica. What came earlier is about no parcel of ours, and
must not be told of the one that gets this number later."""


class EarlyReportDue(Timer, name="warehouse.early_report_due"):
    """The parcel of an early report did not become known in time."""

    report_key: str


def tracked(event: TrackingReported, desk: WarehouseDesk) -> Wants:
    """The parcel, or the place where the report waits for it."""
    yield from parcel(event, desk)
    yield desk.early_reports.want(_key(event))


def reported(event: TrackingReported, desk: WarehouseDesk) -> dict[str, str]:
    """Take a courier's report."""
    judge_report(event.occurred_at, desk)
    label = desk.labels.get(event.tracking_number)
    if label is None:
        early = EarlyReport(
            _key(event), event.tracking_number, event.courier, event.status, event.occurred_at,
            event.cod_collected, event.detail, desk.envelope.id, desk.envelope.source, desk.envelope,
            desk.now,
        )  # fmt: skip
        desk.early_reports.put(early)
        desk.timers.set(EarlyReportDue(report_key=early.report_key), desk.now + KEPT_FOR)
        return {"status": "kept until the parcel is known"}
    shipment = desk.shipments[label.shipment_id]
    if shipment.courier != event.courier:
        raise _wrong_courier()
    after = _apply(shipment, event.status, event.occurred_at, event.cod_collected, event.detail, desk)
    return {"status": after.tracking_status}


def apply_early(shipment: Shipment, desk: WarehouseDesk) -> None:
    """Apply the reports that came before the label."""
    for early in desk.early_reports.group("tracking_number", shipment.tracking_number):
        shipment = _judge(early, shipment, desk)
        desk.timers.cancel(EarlyReportDue(report_key=early.report_key))


def _judge(early: EarlyReport, shipment: Shipment, desk: WarehouseDesk) -> Shipment:
    desk.early_reports.remove(early.report_key)
    if shipment.packed_at - (early.came_at or early.occurred_at) > KEPT_FOR:
        _refuse(early, _unknown(), desk)
        return shipment
    if early.courier != shipment.courier:
        _refuse(early, _wrong_courier(), desk)
        return shipment
    with desk.on_word_of(early.told):
        return _apply(shipment, early.status, early.occurred_at, early.cod_collected, early.detail, desk)


def _wrong_courier() -> Refused:
    return Refused("wrong_courier", "another courier has this parcel", field="courier")


def _unknown() -> Refused:
    detail = "no parcel had this tracking number when this was reported; look at the number"
    return Refused("unknown_parcel", detail, field="tracking_number")


def _refuse(early: EarlyReport, why: Refused, desk: WarehouseDesk) -> None:
    desk.publish(
        WarehouseMessageRefused(
            refused=early.message_id or early.tracking_number,
            refused_source=early.message_source or "tracking.inbox",
            refused_type=TrackingReported.wire_type,
            code=why.code,
            detail=why.detail,
            field=why.field,
        )
    )


def waiting(timer: EarlyReportDue, desk: WarehouseDesk) -> Wants:
    """The report that waits."""
    yield desk.early_reports.want(timer.report_key)
    early = desk.early_reports.get(timer.report_key)
    if early is not None:
        yield from parcel(early, desk)


def give_up(timer: EarlyReportDue, desk: WarehouseDesk) -> None:
    """Apply the report after all when its parcel became known in the same instant; else refuse it."""
    early = desk.early_reports.get(timer.report_key)
    if early is None:
        return
    label = desk.labels.get(early.tracking_number)
    if label is not None:
        _judge(early, desk.shipments[label.shipment_id], desk)
        return
    desk.early_reports.remove(early.report_key)
    _refuse(early, _unknown(), desk)


def _apply(
    shipment: Shipment, status: TrackingStatus, at: datetime, cod: int, detail: str, desk: WarehouseDesk
) -> Shipment:
    at = max(at, shipment.packed_at)  # a clock that is behind takes nobody's time for a return away
    after, cash = report(shipment, status, at), max(cod - shipment.cod_collected, 0)
    if after is None:
        return collect(shipment, cash, at, desk) if cash else shipment
    newly = after.tracking_status is status and shipment.tracking_status is not status
    delivered = newly and status is TrackingStatus.DELIVERED and after.state is not ShipmentState.CANCELED
    if delivered:
        after = replace(after, cod_collected=shipment.cod_collected + cash)
    if after.state is ShipmentState.READY and status in _proof_of_leaving(after, desk):
        after = replace(after, state=ShipmentState.SHIPPED, shipped_at=min(at, desk.now))
        leave(after, desk)
    elif after.kept_back and status in _proof_of_leaving(after, desk):
        after = replace(after, shipped_at=min(at, desk.now))
        left_although_canceled(after, desk)
    desk.shipments.put(after)
    desk.publish(
        TrackingUpdated(
            order_id=after.order_id,
            shipment_id=after.shipment_id,
            status=after.tracking_status,
            reported=status,
            occurred_at=at,
            detail=detail,
        )
    )
    if cash and not delivered:
        after = collect(after, cash, at, desk)
    if after.state is ShipmentState.CANCELED:
        return after  # its order is over: nothing about it is delivered or comes back, people are told that it left
    if delivered:
        after = deliver(after, at, cash, desk)
    elif newly and status is TrackingStatus.RETURN_TO_SENDER:
        after = bring_back(after, at, detail, desk)
    elif disputes(shipment, status):
        _dispute(after, status, at, desk)
    elif status is after.tracking_status is TrackingStatus.DELIVERY_ATTEMPTED and at == after.last_report:
        desk.publish(
            DeliveryFailed(
                order_id=after.order_id, shipment_id=after.shipment_id, occurred_at=at, detail=detail
            )
        )
    return after


def _dispute(shipment: Shipment, status: TrackingStatus, at: datetime, desk: WarehouseDesk) -> None:
    """The courier contradicts itself about where a parcel ended: what it said first stands, and people are told."""
    state = SHIPMENT.next(shipment.state, ShipmentEndDisputed)
    desk.shipments.put(replace(shipment, state=state or shipment.state, end_disputed=True))
    desk.publish(
        ShipmentEndDisputed(
            order_id=shipment.order_id,
            shipment_id=shipment.shipment_id,
            courier=shipment.courier,
            courier_name=desk.couriers.name(shipment.courier),
            tracking_number=shipment.tracking_number,
            stands=shipment.tracking_status,
            reported=status,
            reported_at=at,
            lines=shipment.lines,
            cod_due=shipment.cod_due,
        )
    )


def _proof_of_leaving(shipment: Shipment, desk: WarehouseDesk) -> frozenset[TrackingStatus]:
    """Reports after which a parcel cannot be here any more; one that waits for its buyer at our counter is."""
    work = desk.fulfillments[shipment.order_id]
    at_counter = {TrackingStatus.AVAILABLE_FOR_PICKUP} if work.fetched_by_buyer else set[TrackingStatus]()
    return WITH_COURIER - at_counter


def _key(event: TrackingReported) -> str:
    """One report that waits for its parcel; the same with other cash is another one, and none may be lost (O3)."""
    of = f"{event.tracking_number}/{event.courier}/{event.status}/{event.occurred_at.isoformat()}"
    return f"{of}/{event.cod_collected}"
