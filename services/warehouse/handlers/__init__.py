"""What each event, scan and timer does; CONSUMES is all that the warehouse hears."""

from services.warehouse.desk import (
    WarehouseDesk,
    order_and_scanned,
    order_and_stock,
    parcel,
    scanned_stock,
)
from services.warehouse.domain.courier import Couriers
from services.warehouse.handlers import (
    adjusting,
    allocation,
    erasing,
    packing,
    picking,
    returns,
    stock,
    taking_back,
    tracking,
    unpacking,
)
from shared.events import aftersales, inbox, orders, warehouse
from shared.runtime.service import Service, on

CONSUMES = (
    # from orders and after-sales
    on(orders.OrderReleased, allocation.allocate, order_and_stock),
    on(orders.CancelRequested, allocation.cancel, order_and_stock),
    on(orders.OrderCanceled, allocation.ended, order_and_stock),
    on(orders.PersonalErased, erasing.erase, erasing.work),
    on(aftersales.ReturnAuthorized, returns.expect, returns.case),
    # from scanners
    on(inbox.StockScanned, stock.receive, scanned_stock),
    on(inbox.PickStartScanned, picking.start_pick, order_and_stock),
    on(inbox.PickScanned, picking.pick, order_and_scanned),
    on(inbox.CheckStartScanned, picking.start_check, order_and_stock),
    on(inbox.CheckScanned, picking.check, order_and_scanned),
    on(inbox.CheckFinishScanned, picking.finish_check, order_and_stock),
    on(inbox.PackScanned, packing.pack, packing.packing),
    on(inbox.HandOverScanned, packing.hand_over, parcel),
    on(inbox.ReturnReceivedScanned, returns.receive, returns.case),
    on(inbox.ReturnInspectedScanned, returns.inspect, returns.case),
    # from couriers
    on(inbox.TrackingReported, tracking.reported, tracking.tracked),
    # from people
    on(taking_back.TakeBack, taking_back.take_back, taking_back.order),
    on(unpacking.Unpack, unpacking.unpack, unpacking.order),
    on(stock.RegisterSku, stock.register, stock.barcodes_of),
    on(adjusting.AdjustStock, adjusting.adjust, adjusting.stock_of),
    # from the clock
    on(allocation.Reallocate, allocation.reallocate, allocation.waiting_for),
    on(tracking.EarlyReportDue, tracking.give_up, tracking.waiting),
)


def service(couriers: Couriers) -> Service[WarehouseDesk]:
    """The warehouse with a shop's couriers."""
    return Service(
        name="warehouse",
        desk=lambda: WarehouseDesk(couriers),
        consumes=CONSUMES,
        parked=warehouse.WarehouseEventParked,
        refused=warehouse.WarehouseMessageRefused,
        inboxes=("scans.inbox", "tracking.inbox"),
    )
