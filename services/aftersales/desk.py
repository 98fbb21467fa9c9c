"""The desk of after-sales, and how its rows are found."""

from collections.abc import Iterator
from typing import Any

from services.aftersales.domain.case import Case
from services.aftersales.domain.known_order import KnownOrder
from services.aftersales.domain.policy import Policy
from services.aftersales.tables import CASES, KNOWN_ORDERS
from shared.events.identity import order_id as id_of
from shared.runtime.desk import Desk, Want
from shared.runtime.messages import Refused


class AftersalesDesk(Desk):
    """Shelves of one turn."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.cases = self.shelf(CASES)
        self.orders = self.shelf(KNOWN_ORDERS)

    def cases_of(self, known: KnownOrder) -> list[Case]:
        """All cases of an order."""
        return [case for case_id in known.cases if (case := self.cases.get(case_id)) is not None]

    def case(self, case_id: str) -> Case:
        """The case, for a command. Raises Refused (404) when there is none."""
        case = self.cases.get(case_id)
        if case is None:
            raise Refused("unknown_case", "there is no such case", field="case_id", status=404)
        return case


def _with_cases(order_id: str, desk: AftersalesDesk) -> Iterator[Want]:
    yield desk.orders.want(order_id)
    if (known := desk.orders.get(order_id)) is not None:
        yield desk.cases.want(*known.cases)


def order(message: Any, desk: AftersalesDesk) -> Iterator[Want]:
    """The order that the message names by our id, and its cases."""
    yield from _with_cases(message.order_id, desk)


def by_number(message: Any, desk: AftersalesDesk) -> Iterator[Want]:
    """The order that an outside message names, and its cases."""
    yield from _with_cases(id_of(message.source, message.external_number), desk)


def by_case(message: Any, desk: AftersalesDesk) -> Iterator[Want]:
    """The case, its order, and the order's other cases."""
    yield desk.cases.want(message.case_id)
    if (case := desk.cases.get(message.case_id)) is not None:
        yield from _with_cases(case.order_id, desk)
