"""Order histories from files: what happened to each order, read as it stands, dirt included.

A folder holds `customers.csv`, `orders.csv`, `order_items.csv`, `order_payments.csv`, `products.csv` and, where there are any,
`order_reviews.csv`, in the shape of the Brazilian E-Commerce Public Dataset by Olist; which columns are read, `files.py` names.
Rows that name an order which is not in `orders.csv` are left alone, so that a few orders can be cut out there alone.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from deploy.play.files import (
    CustomerRow,
    HistoriesError,
    ItemRow,
    OrderRow,
    PaymentRow,
    ProductRow,
    R,
    ReviewRow,
    rows,
)

SOURCE = "marketplace"
FILES = ("customers.csv", "orders.csv", "order_items.csv", "order_payments.csv", "products.csv")
REVIEWS = "order_reviews.csv"
MOST_ITEMS = 1000
"""Of one order; the system takes as many lines."""


@dataclass
class History:
    """One order as the files tell it. Amounts in minor units."""

    order_id: str
    buyer_id: str
    region: str
    city: str
    postcode: str
    status: str
    placed_at: datetime
    approved_at: datetime | None
    carrier_at: datetime | None
    delivered_at: datetime | None
    estimated_at: datetime | None
    items: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(SKU, price) → pieces."""
    freight: int = 0
    payments: list[tuple[str, int]] = field(default_factory=list)
    """(id, amount) in their sequence."""
    reviewed_at: datetime | None = None
    weight_grams: int = 1

    @property
    def total(self) -> int:
        """Items plus freight."""
        return sum(price * n for (_, price), n in self.items.items()) + self.freight

    @property
    def paid(self) -> int:
        """All payments, once they are approved."""
        return sum(amount for _, amount in self.payments) if self.approved_at else 0

    @property
    def goods(self) -> tuple[tuple[str, int], ...]:
        """SKU and pieces, to compare two orders of a buyer."""
        pieces: Counter[str] = Counter()
        for (sku, _), n in self.items.items():
            pieces[sku] += n
        return tuple(sorted(pieces.items()))

    @property
    def shipped_at(self) -> datetime | None:
        """When the parcel can have left: handed to the courier (or, where that is not told, delivered), never before the
        payment was approved, since until then the warehouse has no order to ship."""
        left = self.carrier_at or (self.delivered_at and self.delivered_at - timedelta(days=1))
        if left is None or self.approved_at is None:
            return None
        return max(left, self.approved_at)

    @property
    def canceled_at(self) -> datetime | None:
        """When the cancel was asked: the files do not tell; a day after the last thing that they do tell."""
        if self.status not in ("canceled", "unavailable"):
            return None
        last = max(filter(None, (self.placed_at, self.approved_at, self.shipped_at, self.delivered_at)))
        return last + timedelta(days=1)

    @property
    def dirt(self) -> list[str]:
        """What cannot have happened as the files have it, and what is taken instead."""
        found = []
        if self.carrier_at and self.approved_at and self.carrier_at < self.approved_at:
            found.append("collected before the payment was approved: taken to leave when it was")
        if self.carrier_at and not self.approved_at:
            found.append("collected without an approved payment: never released, so it cannot leave")
        if self.delivered_at and not self.carrier_at:
            found.append("delivered without a date of collection: taken to leave the day before")
        if self.delivered_at and self.carrier_at and self.delivered_at < self.carrier_at:
            found.append("delivered before it was collected: taken to arrive when it left")
        return found


def read(folder: Path) -> list[History]:
    """All histories of a folder, by time of purchase. Raises HistoriesError."""
    for name in FILES:
        if not (folder / name).is_file():
            raise HistoriesError(
                f"{folder} has no {name}; a folder of order histories holds {', '.join(FILES)}"
            )
    customers = _by("customer_id", rows(folder / "customers.csv", CustomerRow))
    products = _by("product_id", rows(folder / "products.csv", ProductRow))
    orders = _by("order_id", rows(folder / "orders.csv", OrderRow))
    histories = {id: _history(where, row, customers) for id, (where, row) in orders.items()}
    for where, item in rows(folder / "order_items.csv", ItemRow):
        if (history := histories.get(item.order_id)) is not None:
            _, product = _named(where, "product_id", item.product_id, products, "products.csv")
            history.items[item.product_id, item.price] += 1
            history.freight += item.freight_value
            history.weight_grams += product.product_weight_g
            if history.items.total() > MOST_ITEMS:
                raise HistoriesError(f"{where}: order {item.order_id} has more than {MOST_ITEMS} items")
    _read_payments(folder / "order_payments.csv", histories)
    if (folder / REVIEWS).is_file():
        for _, review in rows(folder / REVIEWS, ReviewRow, none=True):
            if (history := histories.get(review.order_id)) is not None:
                history.reviewed_at = review.review_answer_timestamp
    return sorted(histories.values(), key=lambda h: (h.placed_at, h.order_id))


def digest(folder: Path) -> str:
    """A hash of all that the files hold, to know them again."""
    hashed = sha256()
    for name in (*FILES, REVIEWS):
        if (file := folder / name).is_file():
            hashed.update(f"{name} {file.stat().st_size} ".encode() + file.read_bytes())
    return hashed.hexdigest()


def _by(column: str, found: Iterable[tuple[str, R]]) -> dict[str, tuple[str, R]]:
    """Rows and where they stand, by a column that names each of them once."""
    known: dict[str, tuple[str, R]] = {}
    for where, row in found:
        id = getattr(row, column)
        if id in known:
            raise HistoriesError(f"{where}: {column} is '{id}', as in {known[id][0]}; it must be there once")
        known[id] = where, row
    return known


def _named(where: str, column: str, id: str, among: dict[str, tuple[str, R]], file: str) -> tuple[str, R]:
    if id not in among:
        raise HistoriesError(f"{where}: {column} is '{id}'; it must be one of {file}")
    return among[id]


def _history(where: str, row: OrderRow, customers: dict[str, tuple[str, CustomerRow]]) -> History:
    _, customer = _named(where, "customer_id", row.customer_id, customers, "customers.csv")
    return History(
        order_id=row.order_id,
        buyer_id=customer.customer_unique_id,
        region=customer.customer_state.strip() or "?",
        city=customer.customer_city.strip() or "?",
        postcode=customer.customer_zip_code_prefix,
        status=row.order_status,
        placed_at=row.order_purchase_timestamp,
        approved_at=row.order_approved_at,
        carrier_at=row.order_delivered_carrier_date,
        delivered_at=row.order_delivered_customer_date,
        estimated_at=row.order_estimated_delivery_date,
    )


def _read_payments(file: Path, histories: dict[str, History]) -> None:
    found: dict[tuple[str, int], tuple[str, int]] = {}
    for where, row in rows(file, PaymentRow):
        key = row.order_id, row.payment_sequential
        if key in found:
            raise HistoriesError(
                f"{where}: payment_sequential is '{key[1]}', as in {found[key][0]} of this order; it must be there once"
            )
        found[key] = where, row.payment_value
    for (order_id, n), (_, amount) in sorted(found.items()):
        if order_id in histories:
            histories[order_id].payments.append((f"{order_id}-{n}", amount))
