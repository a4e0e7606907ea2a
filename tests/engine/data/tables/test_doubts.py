"""What is probably not meant is seen, and what is meant is left alone."""

from __future__ import annotations

import pyarrow as pa

from engine.data.tables.doubts import nearly_numbers


def doubt(*cells: object) -> object:
    return nearly_numbers("price", pa.chunked_array([pa.array(cells)]))


def test_texts_among_numbers_are_quoted_with_their_rows() -> None:
    found = nearly_numbers("price", pa.chunked_array([["1", "2.5", None, "n/a", "4", "5"]]))
    assert found is not None
    assert found.rows == ("row 4: price='n/a'",)
    assert "1 of 5 cells" in found.what


def test_no_doubt() -> None:
    assert doubt("1", "2", "3") is None
    assert doubt("red", "2", "blue") is None
    assert doubt("0123", "2345", "A345", "1111", "2222") is None  # codes
    assert doubt(1, 2, 3) is None
    assert doubt(None, "") is None
