"""Notifications: who is told what, once, in their language, whatever is retried.

owns       messages and their delivery log, contacts, opt-outs
publishes  topic `notify`: message_sent, message_failed (shared/events/notify.py)
hears      orders, warehouse, aftersales
asked      GET /v1/messages, /v1/opt-outs; POST /v1/messages/{id}/retry, /v1/opt-outs
database   handover_notify: messages, contacts, opt_outs
"""
