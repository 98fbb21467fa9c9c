"""Whoever began to pick or check and went away holds nobody up: the work is taken back from them (W3, W4)."""

from services.warehouse.desk import Wants, WarehouseDesk
from services.warehouse.domain.fulfillment import FULFILLMENT, FulfillmentState
from shared.events.base import stream_name
from shared.events.warehouse import FulfillmentCheckStopped, FulfillmentPickStopped
from shared.replacing import replace
from shared.runtime.messages import Command, Refused
from shared.values import Reason, Role


class TakeBack(Command):
    """Who picks or checks an order does not go on: they say so themselves, or the back office does."""

    order_id: str
    reason: Reason


def order(command: TakeBack, desk: WarehouseDesk) -> Wants:
    """The work on the order."""
    yield desk.fulfillments.want(command.order_id)
    yield desk.speaks_on(stream_name(FulfillmentPickStopped, command.order_id))


def take_back(command: TakeBack, desk: WarehouseDesk) -> dict[str, object]:
    """Let somebody else go on: with what is picked already, or with a count from the beginning.

    Picked pieces stay picked, for they lie in a tote: stock does not change, and those who picked them may not check (W4).
    """
    work = desk.work(command.order_id)
    match work.state:
        case FulfillmentState.PICKING:
            who = work.picker or ""
            after = replace(work, picker=None, round_began=None)
            said: FulfillmentPickStopped | FulfillmentCheckStopped = FulfillmentPickStopped(
                order_id=work.order_id, picker=who, reason=command.reason
            )
        case FulfillmentState.CHECKING:
            who = work.checker or ""
            after = replace(work, checker=None, counted=(), check_began=None)
            said = FulfillmentCheckStopped(order_id=work.order_id, checker=who, reason=command.reason)
        case _:
            raise Refused("not_now", f"nobody picks or checks this order: it is {work.state}")
    if desk.actor.name != who and not desk.actor.role.includes(Role.BACK_OFFICE):
        detail = f"{who} has this order: they give it back themselves, or the back office takes it back"
        raise Refused("not_yours", detail, status=403)
    state = FULFILLMENT.next(work.state, type(said))
    assert state is not None
    desk.fulfillments.put(replace(after, state=state))
    desk.publish(said)
    return {"state": state, "taken_from": who, "left": after.left_to_pick()}
