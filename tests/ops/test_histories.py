"""What a damaged folder of order histories is told, before anything starts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.play.files import (
    CustomerRow,
    HistoriesError,
    ItemRow,
    OrderRow,
    PaymentRow,
    ProductRow,
    ReviewRow,
)
from deploy.play.histories import read
from tests.ops.histories import FILES, folder

AMOUNT = (
    "it must be an amount such as 12.90: digits with at most two decimals after a point, below 10,000,000"
)
TIME = "it must be a time such as 2017-07-09 21:57:05"
YEARS = "it must lie between the years 2001 and 2199"
ITEM = "o2,1,p2,s1,2017-07-12 08:00:00,"


def test_a_good_folder_is_read_as_it_stands(tmp_path: Path):
    first, canceled, last = read(folder(tmp_path / "good"))
    assert (first.order_id, first.city, first.postcode) == ("o1", "são paulo", "01001")
    assert first.placed_at == datetime(2017, 7, 10, 0, 57, 5, tzinfo=UTC)
    assert first.items == {("p1", 9990): 2}
    assert (first.total, first.payments) == (25510, [("o1-1", 20000), ("o1-2", 5510)])
    assert (first.weight_grams, first.reviewed_at) == (3601, datetime(2017, 7, 18, 7, 10, 37, tzinfo=UTC))
    assert (canceled.approved_at, canceled.payments, canceled.weight_grams) == (None, [], 1)
    assert (last.total, last.paid) == (1800, 1800)


@pytest.mark.parametrize(
    ("file", "was", "is_now", "line", "sentence"),
    [
        ("customers.csv", "customer_city", "city", 1, "the column customer_city is not among customer_id, customer_unique_id, "
         "customer_zip_code_prefix, city, customer_state"),
        ("orders.csv", "order_id", "id", 1, "the column order_id is not among id, customer_id, order_status, "
         "order_purchase_timestamp, order_approved_at, order_delivered_carrier_date, order_delivered_customer_date, "
         "order_estimated_delivery_date"),
        ("order_items.csv", "price", "cost", 1, "the column price is not among order_id, order_item_id, product_id, seller_id, "
         "shipping_limit_date, cost, freight_value"),
        ("order_payments.csv", "payment_type", "order_id", 1, "the column order_id is twice among order_id, "
         "payment_sequential, order_id, payment_installments, payment_value"),
        ("products.csv", "product_weight_g", "weight", 1, "the column product_weight_g is not among product_id, "
         "product_category_name, weight"),
        ("order_reviews.csv", "order_id", "order", 1, "the column order_id is not among review_id, order, review_score, "
         "review_comment_message, review_answer_timestamp"),
        ("order_items.csv", "12.90,0.00", "12.90", 4, "there are 6 fields; the header names 7"),
        ("order_items.csv", ITEM + "12.90", ITEM + "abc", 4, f"price is 'abc'; {AMOUNT}"),
        ("order_items.csv", ITEM + "12.90", ITEM, 4, f"price is empty; {AMOUNT}"),
        ("order_items.csv", ITEM + "12.90", ITEM + '"1,50"', 4, f"price is '1,50'; {AMOUNT}"),
        ("order_items.csv", ITEM + "12.90", ITEM + "NaN", 4, f"price is 'NaN'; {AMOUNT}"),
        ("order_items.csv", ITEM + "12.90", ITEM + "inf", 4, f"price is 'inf'; {AMOUNT}"),
        ("order_items.csv", ITEM + "12.90", ITEM + "1e400", 4, f"price is '1e400'; {AMOUNT}"),
        ("order_items.csv", ITEM + "12.90", ITEM + "0.001", 4, f"price is '0.001'; {AMOUNT}"),
        ("order_items.csv", "12.90,0.00", "12.90,10000000", 4, f"freight_value is '10000000'; {AMOUNT}"),
        ("order_items.csv", "o2,1,p2", "o2,1,p9", 4, "product_id is 'p9'; it must be one of products.csv"),
        ("order_items.csv", "o2,1,p2", "o2,1,p 2", 4, "product_id is 'p 2'; it must be 1 to 80 letters, digits and . : _ -, "
         "without blanks"),
        ("order_payments.csv", "18.0", "-5", 4, f"payment_value is '-5'; {AMOUNT}"),
        ("order_payments.csv", "o3,1", "o3,first", 4, "payment_sequential is 'first'; it must be a whole number such as 1"),
        ("order_payments.csv", "o1,1", "o1,2", 3, "payment_sequential is '2', as in order_payments.csv, line 2 of this order; "
         "it must be there once"),
        ("products.csv", "1800", "abc", 2, "product_weight_g is 'abc'; it must be a weight in grams such as 850, or empty"),
        ("products.csv", "p2,", "p1,", 3, "product_id is 'p1', as in products.csv, line 2; it must be there once"),
        ("customers.csv", "c2,b2", "c1,b2", 3, "customer_id is 'c1', as in customers.csv, line 2; it must be there once"),
        ("orders.csv", "o3,c3", "o3,c4", 4, "customer_id is 'c4'; it must be one of customers.csv"),
        ("orders.csv", "o2,c2", "o1,c2", 3, "order_id is 'o1', as in orders.csv, line 2; it must be there once"),
        ("orders.csv", "o2,c2,canceled", "o2,c2,cancelled", 3, "order_status is 'cancelled'; it must be created, approved, "
         "invoiced, processing, shipped, delivered, canceled or unavailable"),
        ("orders.csv", "2017-07-10 08:00:00", "", 3, f"order_purchase_timestamp is empty; {TIME}"),
        ("orders.csv", "2017-07-10", "10.07.2017", 3, f"order_purchase_timestamp is '10.07.2017 08:00:00'; {TIME}"),
        ("orders.csv", "2017-07-10", "0001-01-01", 3, f"order_purchase_timestamp is '0001-01-01 08:00:00'; {YEARS}"),
        ("orders.csv", "2017-07-14", "9999-12-31", 2, f"order_delivered_customer_date is '9999-12-31 10:57:55'; {YEARS}"),
        ("order_reviews.csv", "2017-07-18 04:10:37", "soon", 2, f"review_answer_timestamp is 'soon'; {TIME}"),
        ("order_reviews.csv", 'packed"', "packed", 2, "this is no row of a CSV file (unexpected end of data); look for a quote "
         "that is left open"),
        ("customers.csv", "rio de janeiro", "rio" * 50_000, 3, "this is no row of a CSV file (field larger than field limit "
         "(131072)); look for a quote that is left open"),
    ],
)  # fmt: skip
def test_each_damage_is_told_with_its_place(
    tmp_path: Path, file: str, was: str, is_now: str, line: int, sentence: str
):
    damaged = folder(tmp_path / "damaged") / file
    text = damaged.read_text(encoding="utf-8")
    assert was in text
    damaged.write_text(text.replace(was, is_now, 1), encoding="utf-8")
    assert told(damaged.parent) == f"{file}, line {line}: {sentence}"


@pytest.mark.parametrize("file", sorted(FILES))
def test_an_empty_file_is_no_file_of_histories(tmp_path: Path, file: str):
    damaged = folder(tmp_path / "damaged")
    (damaged / file).write_text("")
    assert told(damaged).startswith(f"{file} is empty; its first line names ")


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_header_alone_is_enough_for_reviews_only(tmp_path: Path, file: str):
    damaged = folder(tmp_path / "damaged") / file
    damaged.write_text(damaged.read_text(encoding="utf-8").partition("\n")[0] + "\n", encoding="utf-8")
    assert told(damaged.parent) == (
        "" if file == "order_reviews.csv" else f"{file} has no rows below its header"
    )


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("utf-16", "customers.csv, line 1: the byte 0xff is not UTF-8; save the file as UTF-8"),
        ("latin-1", "customers.csv, line 2: the byte 0xe3 is not UTF-8; save the file as UTF-8"),
        ("utf-8-sig", ""),
    ],
)
def test_only_utf_8_is_read_with_or_without_its_mark(tmp_path: Path, encoding: str, sentence: str):
    damaged = folder(tmp_path / "damaged")
    (damaged / "customers.csv").write_text(FILES["customers.csv"], encoding=encoding)
    assert told(damaged) == sentence


def test_a_time_with_an_offset_is_taken_with_it(tmp_path: Path):
    damaged = folder(tmp_path / "offset")
    (damaged / "orders.csv").write_text(FILES["orders.csv"].replace("21:57:05", "21:57:05+05:00"), "utf-8")
    assert read(damaged)[0].placed_at == datetime(2017, 7, 9, 16, 57, 5, tzinfo=UTC)


def test_an_order_has_no_more_items_than_the_system_takes(tmp_path: Path):
    damaged = folder(tmp_path / "many")
    with (damaged / "order_items.csv").open("a", encoding="utf-8") as items:
        items.write(f"{ITEM}12.90,0.00\n" * 1000)
    assert told(damaged) == "order_items.csv, line 1005: order o2 has more than 1000 items"


@pytest.mark.requirement("X6")
def test_a_damaged_folder_ends_the_command_before_anything_is_there(tmp_path: Path):
    damaged = folder(tmp_path / "damaged")
    (damaged / "order_items.csv").write_text(FILES["order_items.csv"].replace("5.10", "[/red]"), "utf-8")
    answer = CliRunner().invoke(app, ["replay", str(damaged), "--data", str(tmp_path / "data")])
    assert answer.exit_code == 2
    assert answer.output.splitlines() == [f"order_items.csv, line 5: freight_value is '[/red]'; {AMOUNT}"]
    assert not (tmp_path / "data").exists()


def test_help_names_every_column_that_is_read():
    shown = CliRunner().invoke(app, ["replay", "--help"]).output
    for kind in (CustomerRow, OrderRow, ItemRow, PaymentRow, ProductRow, ReviewRow):
        assert [column for column in kind.model_fields if column not in shown] == []


def told(damaged: Path) -> str:
    """What is said of a folder; nothing of one that can be read."""
    try:
        read(damaged)
    except HistoriesError as error:
        return str(error)
    return ""
