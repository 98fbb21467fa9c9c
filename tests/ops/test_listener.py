"""The demo and the replay listen as any system outside would: a stranger's record does not deafen them."""

from types import SimpleNamespace
from typing import Any

import pytest

from deploy.play.edges import Heard, Listener

GOOD = [("ce_type", b"orders.order_paid.v1"), ("ce_subject", b"order/1"), ("ce_sequence", b"1")]


def record(headers: list[tuple[str, Any]], value: bytes | None = b"{}") -> Any:
    return SimpleNamespace(topic="orders", headers=headers, value=value)


@pytest.mark.parametrize(
    "strange",
    [
        record([]), record(GOOD, None), record(GOOD, b"not json"), record([*GOOD[:2], ("ce_sequence", b"one")]),
        record([*GOOD[:2], ("ce_sequence", None)]), record([("ce_type", b"\xff"), *GOOD[1:]]),
    ],
)  # fmt: skip
def test_a_record_that_is_no_event_is_passed_over(strange: Any):
    listener, heard = Listener(SimpleNamespace()), list[Heard]()  # type: ignore[arg-type]
    listener.tell(heard.append)
    for one in (strange, record(GOOD), record(GOOD)):
        listener._take(one)
    assert heard == [Heard("orders.order_paid.v1", "order/1", 1, {})]
    assert listener.counts == {"orders": 1}
