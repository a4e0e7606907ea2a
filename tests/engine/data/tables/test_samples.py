"""Large tables are read in part: from the beginning to the end of parquet, the first whole rows of text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.tables.files import read_pieces
from engine.data.tables.samples import sample


def test_a_small_table_is_read_whole(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": range(100)}), tmp_path / "a.parquet", row_group_size=10)
    part = sample([tmp_path / "a.parquet"], 100)
    assert (part.whole, part.rows) == (True, 100)
    rows = [row for piece in read_pieces(part.pieces, {}) for row in piece.table["x"].to_pylist()]
    assert rows == list(range(100))


@pytest.mark.parametrize("group", [10, 1000])
def test_of_a_large_one_rows_with_their_numbers_in_the_file(tmp_path: Path, group: int) -> None:
    pq.write_table(pa.table({"x": range(1, 1001)}), tmp_path / "a.parquet", row_group_size=group)
    part = sample([tmp_path / "a.parquet"], 80)
    assert (part.whole, part.rows) == (False, 1000)
    read = list(read_pieces(part.pieces, {}))
    assert sum(piece.table.num_rows for piece in read) == 80
    for piece in read:
        assert piece.table["x"].to_pylist() == piece.row_number.tolist()
    last = read[-1].table["x"].to_pylist()[-1]
    assert last == (1000 if group == 10 else 80)


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_text_is_cut_after_a_row_not_within_a_quoted_cell(tmp_path: Path, ending: str) -> None:
    text = "".join(["name,n\n", *(f'"two\nlines {n}",{n}\n' for n in range(1000))]).encode()
    path = tmp_path / f"a.{ending}"
    path.write_bytes(gzip.compress(text, 0) if ending.endswith("gz") else text)
    for size in range(10, 20):
        part = sample([path], size)
        (read,) = read_pieces(part.pieces, {})
        assert not part.whole
        assert read.bad == ()
        n = read.table.num_rows
        assert 10 < n < 100
        assert read.table["n"].to_pylist() == [str(i) for i in range(n)]
