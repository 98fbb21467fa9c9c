"""What a message that was refused or failed had staged is gone, whatever part of the desk it was on (X2)."""

from datetime import UTC, datetime

import pytest

from shared.runtime.desk import Desk
from shared.runtime.messages import Timer

pytestmark = pytest.mark.requirement("X2")
AT = datetime(2026, 3, 2, tzinfo=UTC)


class Remember(Timer, name="tests.remember"):
    key: str


def test_a_message_that_failed_leaves_no_timer_and_moves_none():
    desk = Desk()
    desk.timers.set(Remember(key="before"), AT)
    desk.keep()
    desk.timers.set(Remember(key="failed"), AT)
    desk.timers.cancel(Remember(key="before"))
    desk.discard()
    desk.keep()
    assert desk.timers.changed == {"tests.remember/before": (Remember(key="before"), AT)}
