"""Orders: what was promised to the buyer, and whether it may go to the warehouse.

owns       orders, their payments, holds, address confirmation, promises, timeline
publishes  topic `orders`: order_placed … order_completed (shared/events/orders.py)
hears      orders.inbox (shops, payment providers), warehouse, aftersales, notify
asked      over HTTP: api.py
database   handover_orders: orders, early_payments, recent_buys, heard
"""
