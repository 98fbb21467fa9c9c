"""The warehouse: stock, and the work on an order from allocation to hand-over; it alone knows what has left.

owns       stock levels and moves, fulfillments, shipments, tracking, returns dock
publishes  topic `warehouse`: stock_received … return_inspected (shared/events/warehouse.py)
hears      scans.inbox (scanners), tracking.inbox (couriers), orders, aftersales
asked      GET /v1/fulfillments, /v1/stock, /v1/shipments (+ label.pdf, note.pdf), /v1/couriers; PUT /v1/skus; POST …/take-back
database   handover_warehouse: levels, moves, fulfillments, backorders, shipments, labels, dock, …
"""
