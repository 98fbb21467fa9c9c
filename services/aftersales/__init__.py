"""After-sales: what goes wrong after the parcel left, from the buyer's word to the money.

owns       cases, what goods come back and what is refunded
publishes  topic `aftersales`: case_opened … case_closed (shared/events/aftersales.py)
hears      aftersales.inbox (buyers through their shops), orders, warehouse
asked      GET /v1/cases, /v1/cases/{id}; POST /v1/cases, approve, reject
database   handover_aftersales: cases, known_orders
"""
