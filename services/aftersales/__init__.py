"""After-sales: what goes wrong after the parcel left, from the buyer's word to the money.

owns       cases, what goods come back and what is refunded
publishes  topic `aftersales`: case_opened … case_closed (shared/events/aftersales.py)
hears      aftersales.inbox (buyers through their shops), orders, warehouse
asked      over HTTP: api.py
database   handover_aftersales: cases, known_orders
"""
