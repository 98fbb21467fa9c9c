"""What after-sales shows of a case over HTTP (A1). Amounts are in minor units of the case's currency."""

from datetime import datetime

from services.aftersales.domain.case import Case, CaseState, Custody, Refund
from services.aftersales.domain.known_order import KnownOrder, would_pay
from shared.events.aftersales import CaseKind
from shared.runtime.views import View
from shared.values import SkuQuantity


class CaseView(View):
    """One case with its history."""

    case_id: str
    order_id: str
    kind: CaseKind
    state: CaseState
    opened_at: datetime
    opened_by: str
    reason: str
    lines: tuple[SkuQuantity, ...]
    """The goods that it is about; empty where it is about a sum."""
    currency: str
    amount: int
    """What was asked for, or what the goods brought when it was opened."""
    would_pay: int
    """What the buyer gets if it is granted now, or all its goods come back: what was paid back otherwise is taken off. 0 when
    it is closed."""
    excess: int
    """What of that was captured beyond the price."""
    refunded: int
    """What finance was asked to pay back."""
    refund: Refund
    custody: Custody
    """Where the goods are."""
    return_by: datetime | None
    """Until when they may come back."""
    rest_of: str | None
    """The case of which these goods had not come yet when it was settled."""
    shipment_id: str | None
    """The parcel that the courier brings back, where it is about one."""
    disputed: tuple[SkuQuantity, ...]
    """What its courier was to bring back and then said that it delivered: a person is asked."""
    no_word: bool
    """True when a person is asked who has the goods, for no courier told."""
    cod_due: int
    """Cash that was to be collected with these."""
    history: tuple[str, ...]
    """What was done, when and by whom, in words."""


def shown(case: Case, known: KnownOrder) -> CaseView:
    """A case, and what it would come to now."""
    now = 0 if case.over else would_pay(case, known)
    return CaseView.model_validate(vars(case) | {"would_pay": now})
