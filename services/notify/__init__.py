"""Notifications: who is told what, once, in their language, whatever is retried.

owns       messages and their delivery log, contacts, opt-outs
publishes  topic `notify`: message_sent, message_failed (shared/events/notify.py)
hears      orders, warehouse, aftersales
asked      over HTTP: api.py
database   handover_notify: messages, contacts, opt_outs
"""
