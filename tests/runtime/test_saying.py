"""What is said, as it goes out."""

import pytest

from shared.events.orders import OrderPlaced
from shared.runtime.bookkeeping import HEADS
from shared.runtime.desk import Said, Shelf
from shared.runtime.messages import Envelope
from shared.runtime.saying import entries_of
from tests.harness import AGENT, START
from tests.notify.news import placed

CAUSE = Envelope("an-id", "shop", "some.type", "some/stream", START, AGENT)


@pytest.mark.requirement("X3")
@pytest.mark.requirement("X4")
@pytest.mark.parametrize("event", [placed(), placed(personal=None)], ids=["with", "without"])
def test_an_event_goes_out_whole_with_its_personal_part_or_without(event: OrderPlaced) -> None:
    heads = Shelf(HEADS, [])
    heads.loaded([event.stream], [])
    [entry] = entries_of([Said(event, event.stream, CAUSE, START)], heads, lambda cause: cause.trace)
    assert OrderPlaced.model_validate_json(entry.wire) == event
