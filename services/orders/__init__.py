"""Orders: what was promised to the buyer, and whether it may go to the warehouse.

owns       orders, their payments, holds, address confirmation, promises, timeline
publishes  topic `orders`: order_placed … order_completed (shared/events/orders.py)
hears      orders.inbox (shops, payment providers), warehouse, aftersales, notify
asked      GET /v1/orders, /v1/orders/{id}, /timeline; POST confirm-address, holds, cancel, confirm-receipt
database   handover_orders: orders, early_payments, recent_buys, heard
"""
