"""Every row of `docs/execution.md` is held by a test."""

from __future__ import annotations

from tests.core.page import rows_of_the_page, rows_with_a_test


def test_every_row_of_the_page_has_a_test() -> None:
    assert rows_of_the_page() - rows_with_a_test() == set()
    assert rows_with_a_test() - rows_of_the_page() == set()
