"""The figures on the page are those that were measured (X6)."""

from benchmarks.page import PAGE, SECOND, read, render


def test_the_page_shows_the_results_that_are_kept():
    page = PAGE.read_text(encoding="utf-8")
    assert render(page, read(), read(SECOND)) == page, (
        "run `python -m benchmarks.page` and commit what it writes"
    )
