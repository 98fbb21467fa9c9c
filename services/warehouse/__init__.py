"""The warehouse: stock, and the work on an order from allocation to hand-over; it alone knows what has left.

owns       stock levels and moves, fulfillments, shipments, tracking, returns dock
publishes  topic `warehouse`: stock_received … return_inspected (shared/events/warehouse.py)
hears      scans.inbox (scanners), tracking.inbox (couriers), orders, aftersales
asked      over HTTP: api.py
database   handover_warehouse: levels, moves, fulfillments, backorders, shipments, labels, dock, …
"""
