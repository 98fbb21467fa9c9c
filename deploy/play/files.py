"""The files of order histories, row by row: what cannot be used is told by file, line, column and value before anything starts.

Dates that contradict each other, or payments that do not add up, are no matter of this: they are dirt, which is played.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ValidationError

from shared.runtime.wording import plain, rule_of

ZONE = ZoneInfo("America/Sao_Paulo")
"""Where the histories happened: times without an offset are Brasília's."""
YEARS = range(2001, 2200)
"""What the system takes for a time, and a margin for what happens before the first order and after the last one."""


class HistoriesError(Exception):
    """The folder cannot be read as order histories; says which file, which line, and why."""


def _spelled(pattern: str, rule: str, into: Callable[[str], Any] = str) -> BeforeValidator:
    """Text that fits a pattern, made into a value; `rule` says the pattern in words."""

    def check(text: str) -> Any:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {rule}")
        return into(text)

    return BeforeValidator(check)


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a time such as 2017-07-09 21:57:05") from None
    if at.year not in YEARS:
        raise ValueError(f"must lie between the years {YEARS[0]} and {YEARS[-1]}")
    # in UTC, where the time between two instants is what it was in summer too
    return (at if at.tzinfo else at.replace(tzinfo=ZONE)).astimezone(UTC)


_STATUSES = "created", "approved", "invoiced", "processing", "shipped", "delivered", "canceled", "unavailable"

Id = Annotated[str, _spelled(r"\w[\w.:-]{0,79}", "1 to 80 letters, digits and . : _ -, without blanks")]
Place = Annotated[
    str, _spelled(r"[^\x00-\x1f\x7f]{0,200}", "at most 200 characters, none of them a control character")
]
Postcode = Annotated[str, _spelled(r"[\w -]{0,20}", "at most 20 letters, digits, blanks and -")]
Status = Annotated[str, _spelled("|".join(_STATUSES), f"{', '.join(_STATUSES[:-1])} or {_STATUSES[-1]}")]
Cents = Annotated[
    int,
    _spelled(
        r"[0-9]{1,7}(\.[0-9]{1,2}0{0,9})?",
        "an amount such as 12.90: digits with at most two decimals after a point, below 10,000,000",
        lambda text: int(Decimal(text) * 100),
    ),
]
"""An amount in minor units."""
Grams = Annotated[
    int,
    _spelled(
        r"([0-9]{1,9}(\.[0-9]{1,9})?)?",
        "a weight in grams such as 850, or empty",
        lambda t: int(float(t or 0)),
    ),
]
Ordinal = Annotated[int, _spelled(r"[0-9]{1,6}", "a whole number such as 1", int)]
Time = Annotated[datetime, BeforeValidator(_time)]
TimeIfAny = Annotated[datetime | None, BeforeValidator(lambda text: _time(text) if text else None)]


class CustomerRow(BaseModel):
    """`customers.csv`: the buyer as this order knows them."""

    customer_id: Id
    customer_unique_id: Id
    customer_zip_code_prefix: Postcode
    customer_city: Place
    customer_state: Place


class ProductRow(BaseModel):
    """`products.csv`."""

    product_id: Id
    product_weight_g: Grams


class OrderRow(BaseModel):
    """`orders.csv`."""

    order_id: Id
    customer_id: Id
    order_status: Status
    order_purchase_timestamp: Time
    order_approved_at: TimeIfAny
    order_delivered_carrier_date: TimeIfAny
    order_delivered_customer_date: TimeIfAny
    order_estimated_delivery_date: TimeIfAny


class ItemRow(BaseModel):
    """`order_items.csv`: one row a piece."""

    order_id: Id
    product_id: Id
    price: Cents
    freight_value: Cents


class PaymentRow(BaseModel):
    """`order_payments.csv`: several an order, in the order of `payment_sequential`."""

    order_id: Id
    payment_sequential: Ordinal
    payment_value: Cents


class ReviewRow(BaseModel):
    """`order_reviews.csv`: the buyer's word that it came."""

    order_id: Id
    review_answer_timestamp: TimeIfAny


R = TypeVar("R", bound=BaseModel)


def rows(file: Path, kind: type[R], *, none: bool = False) -> Iterator[tuple[str, R]]:
    """Each row and where it stands, for what else there is to say of it; `none` allows that there is none. Columns that nobody
    asks for are left alone. Raises HistoriesError at the first row that cannot be used."""
    lines = _lines(file)
    where, header = next(lines, ("", []))
    if not header:
        raise HistoriesError(f"{file.name} is empty; its first line names {', '.join(kind.model_fields)}")
    for column in kind.model_fields:
        if header.count(column) != 1:
            there = "twice" if column in header else "not"
            raise HistoriesError(
                f"{where}: the column {column} is {there} among {plain(', '.join(header), 200)}"
            )
    found_one = False
    for where, cells in lines:
        found_one = True
        if len(cells) != len(header):
            raise HistoriesError(f"{where}: there are {len(cells)} fields; the header names {len(header)}")
        row = dict(zip(header, cells, strict=True))
        try:
            yield where, kind.model_validate(row)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            column = str(wrong["loc"][0])
            shown = f"'{plain(row[column])}'" if row[column] else "empty"
            raise HistoriesError(f"{where}: {column} is {shown}; it {rule_of(wrong)}") from None
    if not (found_one or none):
        raise HistoriesError(f"{file.name} has no rows below its header")


def _lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    while True:
        where = f"{file.name}, line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise HistoriesError(
                f"{where}: this is no row of a CSV file ({error}); look for a quote that is left open"
            ) from None
        if cells:
            yield where, cells


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise HistoriesError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise HistoriesError(
            f"{file.name}, line {line}: the byte {byte:#x} is not UTF-8; save the file as UTF-8"
        ) from None
