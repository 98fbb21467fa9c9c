"""Order histories from files: what happened to each order, read as it stands, dirt included.

A folder holds `customers.csv`, `orders.csv`, `order_items.csv`, `order_payments.csv`, `products.csv` and, where there are any,
`order_reviews.csv`, in the shape of the Brazilian E-Commerce Public Dataset by Olist. Times without an offset are Brasília's.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

SOURCE = "marketplace"
ZONE = ZoneInfo("America/Sao_Paulo")
FILES = ("customers.csv", "orders.csv", "order_items.csv", "order_payments.csv", "products.csv")


class HistoriesError(Exception):
    """The folder cannot be read as order histories; says which file, which row, and why."""


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
    """(id, amount) in the order of the file."""
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
    customers = {r["customer_id"]: r for r in _rows(folder / "customers.csv")}
    weights = {r["product_id"]: _grams(r.get("product_weight_g", "")) for r in _rows(folder / "products.csv")}
    histories: dict[str, History] = {}
    for number, row in enumerate(_rows(folder / "orders.csv"), 2):
        try:
            histories[row["order_id"]] = _history(row, customers)
        except (KeyError, ValueError) as error:
            raise HistoriesError(f"orders.csv, line {number}: {error}") from None
    for row in _rows(folder / "order_items.csv"):
        if (history := histories.get(row["order_id"])) is not None:
            history.items[row["product_id"], _cents(row["price"])] += 1
            history.freight += _cents(row["freight_value"])
            history.weight_grams += weights.get(row["product_id"], 0)
    payments: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in _rows(folder / "order_payments.csv"):
        payments[row["order_id"]].append((int(row["payment_sequential"]), _cents(row["payment_value"])))
    for order_id, rows in payments.items():
        if order_id in histories:
            histories[order_id].payments = [(f"{order_id}-{n}", amount) for n, amount in sorted(rows)]
    if (folder / "order_reviews.csv").is_file():
        for row in _rows(folder / "order_reviews.csv"):
            if (history := histories.get(row["order_id"])) is not None:
                history.reviewed_at = _time(row["review_answer_timestamp"])
    return sorted(histories.values(), key=lambda h: (h.placed_at, h.order_id))


def _history(row: dict[str, str], customers: dict[str, dict[str, str]]) -> History:
    customer = customers[row["customer_id"]]
    placed = _time(row["order_purchase_timestamp"])
    if placed is None:
        raise ValueError("order_purchase_timestamp is empty")
    return History(
        order_id=row["order_id"],
        buyer_id=customer["customer_unique_id"],
        region=customer["customer_state"] or "?",
        city=customer["customer_city"] or "?",
        postcode=customer["customer_zip_code_prefix"],
        status=row["order_status"],
        placed_at=placed,
        approved_at=_time(row["order_approved_at"]),
        carrier_at=_time(row["order_delivered_carrier_date"]),
        delivered_at=_time(row["order_delivered_customer_date"]),
        estimated_at=_time(row["order_estimated_delivery_date"]),
    )


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE) if text else None


def _cents(text: str) -> int:
    return int(Decimal(text) * 100)


def _grams(text: str) -> int:
    return int(Decimal(text)) if text else 0
