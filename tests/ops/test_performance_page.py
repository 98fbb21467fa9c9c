"""The figures on the page are those that were measured (X6)."""

from copy import deepcopy
from pathlib import Path

import pytest

from benchmarks import page, tables
from benchmarks.aims import summary
from benchmarks.page import PAGE, Results, read, render
from benchmarks.parts import growth
from benchmarks.plan import plan
from deploy.topics import topics


@pytest.fixture
def results() -> Results:
    """Those that are kept, to be changed."""
    return deepcopy(read())


def test_the_page_shows_the_results_that_are_kept():
    page = PAGE.read_text(encoding="utf-8")
    assert render(page, read()) == page, "run `python -m benchmarks.page` and commit what it writes"


def test_a_single_sample_has_no_spread():
    once = {"median": 142.0, "low": 142.0, "high": 142.0, "all": [142.0]}
    assert tables.figure(once, " MB") == "142 MB"
    assert tables.figure(once | {"low": 140.0, "all": [140.0, 142.0, 142.0]}) == "142 (140–142)"


@pytest.mark.parametrize(
    ("beyond", "what"),
    [
        ({}, "1,000,000 orders behind it"),
        ({"aftersales": 10_000_000}, "1,000,000 orders or more behind it"),
    ],
)
def test_growth_is_told_with_the_history_that_there_was(results: Results, beyond: dict[str, int], what: str):
    found = results["growth"]["found"]
    found |= {"history_orders": 1_000_000, "history_beyond": beyond}
    assert any(what in row for row in summary(results).splitlines())


def test_a_history_is_shown_as_long_as_it_was(results: Results):
    kept = [name for name in results if name.startswith("growth")]
    assert [growth.kept_as(results[name]["found"]) for name in kept] == kept


def test_a_history_too_short_for_a_verdict_is_on_no_page(tmp_path: Path):
    (tmp_path / "growth-short.json").write_text("{}")
    assert read(tmp_path) == {}


@pytest.mark.parametrize(
    ("without_limit", "fifty", "told"),
    [(167.0, 120.0, "| 120 | yes |"), (70.0, 120.0, "| 70 | **no** |"), (167.0, None, "| 167 | yes |")],
)
def test_of_two_ways_the_better_is_what_we_are_held_against(
    results: Results, without_limit: float, fifty: float | None, told: str
):
    ratios = results["throughput"]["found"]["ratio"]
    ratios["dbos"] = {"median": without_limit, "all": [without_limit]}
    ratios.pop("dbos_50", None)
    if fifty is not None:
        ratios["dbos_50"] = {"median": fifty, "all": [fifty]}
    (row,) = (row for row in summary(results).splitlines() if "DBOS" in row)
    assert row.endswith(told)


def test_a_contestant_that_was_not_measured_yet_is_said_to_be(results: Results):
    found = results["throughput"]["found"]
    for by in (found["rate"], found["ratio"], found["cpu_us"]):
        by.pop("orm_batch", None)
    assert tables.orm_batch(found) == "`orm_batch` was not measured yet."
    assert "orm_batch" not in tables.throughput(found)
    found["ratio"]["orm_batch"] = {"median": 4.2, "low": 4.1, "high": 4.3, "all": [4.1, 4.2, 4.3]}
    assert tables.orm_batch(found) == "Handover is 4.2 (4.1–4.3) times as fast as `orm_batch`."


def test_a_result_says_under_what_it_was_taken(results: Results):
    throughput, housekeeping = results["throughput"]["found"], results["housekeeping"]["found"]
    throughput.pop("isolation", None)
    assert "DBOS' transactions were SERIALIZABLE" in tables.throughput(throughput)
    assert "All transactions were READ COMMITTED." in tables.throughput(
        throughput | {"isolation": "READ COMMITTED"}
    )
    housekeeping["hot_sku"].pop("warehouse_processes", None)
    assert "one warehouse process)" in tables.housekeeping(housekeeping)
    housekeeping["hot_sku"]["warehouse_processes"] = 2
    assert "2 warehouse processes)" in tables.housekeeping(housekeeping)


def test_a_scan_is_told_by_its_kind_and_what_it_costs_by_process(results: Results):
    found = results["scan"]["found"]
    for name in ("ratio_of_orders", "cpu_ms", "cpu_ms_all"):
        found.pop(name, None)
    assert "registered barcodes" not in tables.scan(found)
    of_orders = {"median": 7.25, "low": 7.0, "high": 8.0, "all": [7.0, 7.25, 8.0]}
    for by in found["ms"].values():
        by["of_orders"] = of_orders
    found["ratio_of_orders"] = dict.fromkeys(found["ms"], of_orders)
    found["cpu_ms"] = {kind: {"warehouse": of_orders} for kind in ("handover", "of_orders")}
    found["cpu_ms"]["floor"] = {"endpoint": of_orders}
    found["cpu_ms_all"] = dict.fromkeys(tables.SCANS, of_orders)
    page = tables.scan(found)
    assert "| orders picked, checked and packed, by registered barcodes, p99 | 7.25 ms (7–8) |" in page
    assert "| warehouse | 7.25 (7–8) | 7.25 (7–8) | – |" in page
    assert "| endpoint | – | – | 7.25 (7–8) |" in page


def test_housekeeping_shows_what_was_measured_and_no_row_of_what_was_not(results: Results):
    found = results["housekeeping"]["found"]
    for name in ("due", "inbox", "forgetting"):
        found.pop(name, None)
    found["long_order"].pop("ms_a_line_to_packed", None)
    before = tables.housekeeping(found).splitlines()
    some = {"median": 7.25, "low": 7.0, "high": 8.0, "all": [7.0, 7.25, 8.0]}
    found["due"] = {"timers": 10_000, "rate": some}
    found["inbox"] = {"ids": 2_000_000, "rate": {"without": some, "with": some}, "cpu_ratio": some}
    found["forgetting"] = {"ids": 100_000, "seconds": some, "cpu_seconds": some}
    found["long_order"] |= {"ms_a_line_to_packed": {"one": some, "many": some}, "cpu_ratio": some}
    after = tables.housekeeping(found).splitlines()
    assert [row for row in after if row in before] == before
    assert [row.split(",")[0] for row in after if row not in before] == [
        "| 10", "| 2", "| 100", "| the same", "| the same",
    ]  # fmt: skip


def test_the_plan_has_scans_and_disks_where_they_were_measured(results: Results):
    orders, scan = results["orders"]["found"], results["scan"]["found"]
    for name in ("lines_an_order", "scans_an_order", "kafka_kb_an_order"):
        orders.pop(name, None)
    assert "gate" not in plan(results)
    assert "Kafka's disk" not in plan(results)
    orders |= {"lines_an_order": 1.6, "scans_an_order": 8.2}
    orders["kafka_kb_an_order"] = {topic.name: 2.0 for topic in topics()}
    scan["cpu_ms_all"] = {"of_orders": {"median": 6.0}}
    results["growth-10m"]["found"] |= {"database_gb": 400.0, "history_orders": 10_000_000}
    rows = {row.split(" | ")[0].strip("| "): row for row in plan(results).splitlines()}
    assert rows["scans/s at the gate"].endswith("| 285 | 2,847 | 28,472 |")
    assert rows["days until 1,000 GB of databases are full"].endswith("| 25 | 2.5 | 0.25 |")
    # 2 kB an order in each: four topics for 14 days, five for 7, and a day more
    assert rows["Kafka's disk, one copy, GB"].endswith("| 200 | 2,000 | 20,000 |")
    assert "An order has 1.6 lines. Not in the sums: cases of after-sales" in plan(results)


NAMED_SINCE = "2026-11-30T19:00"
"""Results measured from here on are kept only with the commit that they are of, and as it is in the repository."""


def test_a_result_says_of_which_commit_it_is(results: Results):
    commits = {
        name: r["about"].get("commit")
        for name, r in results.items()
        if r["about"]["measured_at"] >= NAMED_SINCE
    }
    assert {name for name, commit in commits.items() if not commit or commit.endswith("-dirty")} == set()


def test_the_page_names_commit_and_seeds_of_each_part_or_says_that_they_were_not_kept(results: Results):
    orders, scan = results["orders"], results["scan"]
    orders["about"]["commit"], orders["found"]["seeds"] = "abc1234", {"events": 11, "orders": 7}
    scan["about"].pop("commit", None)
    scan["found"].pop("seeds", None)
    rows = page.about(results).splitlines()
    assert any(row.startswith("| orders | abc1234 |") and "| events 11, orders 7 |" in row for row in rows)
    assert any(row.startswith("| scan | not kept |") and "| not kept |" in row[20:] for row in rows)
