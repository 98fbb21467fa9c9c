"""What notify says, on topic `notify`: streams `order/<order id>` for buyers, `service/<name>` for ops alerts."""

from shared.events.base import Event, EventParked
from shared.values import Code, Text


class MessageSent(Event, type="notify.message_sent.v1", subject="order_id"):
    """A message about an order left through a channel (N1, N2, N6). Never carries its text or address."""

    order_id: Code
    message_id: Code
    template: Code
    channel: Code
    audience: Code
    """`buyer`, `staff`, or the name of a webhook."""


class MessageFailed(Event, type="notify.message_failed.v1", subject="order_id"):
    """A message about an order was given up after all its tries (N6)."""

    order_id: Code
    message_id: Code
    template: Code
    channel: Code
    audience: Code
    reason: Text


class NotifyEventParked(EventParked, type="notify.event_parked.v1", subject="service"):
    """Notify set a message aside."""
