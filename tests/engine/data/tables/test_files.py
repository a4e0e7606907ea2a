"""Files, folders and globs are found, read and renamed; broken ones are refused with their name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.tables import files
from engine.data.tables.files import find_files, pieces_of, read_piece, read_pieces, rename
from engine.errors import DataError

FRAME = pd.DataFrame({"user_id": ["a", "b"], "rating": [1, 2]})


def read(source: object) -> list[dict[str, object]]:
    return [row for piece in read_pieces(pieces_of(source, "events"), {}) for row in piece.table.to_pylist()]


def test_a_folder_is_read_whole_and_in_order(tmp_path: Path):
    (tmp_path / "b").mkdir()
    FRAME.to_csv(tmp_path / "b" / "part.csv", index=False)
    FRAME.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".a.parquet.crc").touch()
    (tmp_path / "README.md").touch()
    assert [p.name for p in find_files(tmp_path)] == ["a.parquet", "part.csv"]
    assert [p.name for p in find_files(str(tmp_path / "*.parquet"))] == ["a.parquet"]
    assert len(read(tmp_path)) == 4


def test_nothing_there_is_said(tmp_path: Path):
    for source in (tmp_path / "nothing.csv", str(tmp_path / "*.csv"), tmp_path):
        with pytest.raises(DataError, match="no such file"):
            find_files(source)
    (tmp_path / "events.xlsx").touch()
    with pytest.raises(DataError, match=r"is no table .*events.xlsx"):
        find_files(tmp_path / "events.xlsx")
    with pytest.raises(DataError, match=r"holds no table, but events.xlsx"):
        find_files(tmp_path)


def test_a_folder_s_data_sets_and_artifacts_are_not_its_tables(tmp_path: Path):
    for name, made_by in (("data", "firstclick"), ("theirs", "another tool")):
        (tmp_path / name / "episodes").mkdir(parents=True)
        (tmp_path / name / "episodes" / "part.parquet").touch()
        (tmp_path / name / "manifest.json").write_text(json.dumps({"format": made_by}))
    assert find_files(tmp_path) == [tmp_path / "theirs" / "episodes" / "part.parquet"]


@pytest.mark.parametrize("text", ["a;b\n1,5;2\n", "a\tb\n1,5\t2\n", "a|b\n1,5|2\n"])
def test_cells_may_be_separated_otherwise(text: str, tmp_path: Path):
    (tmp_path / "f.csv").write_text(text)
    assert read(tmp_path / "f.csv") == [{"a": "1,5", "b": "2"}]
    (tmp_path / "f.tsv").write_text("a,b\n1,2\n")
    assert read(tmp_path / "f.tsv") == [{"a": "1", "b": "2"}]
    (tmp_path / "f.csv").write_text("a;b,c\n1;2,3\n")
    assert read(tmp_path / "f.csv") == [{"a;b": "1;2", "c": "3"}]  # as its ending says


def test_csv_cells_are_text_and_may_be_blank_or_have_lines(tmp_path: Path):
    (tmp_path / "f.csv").write_text('\ufeffuser_id,rating\n007,4\n"a,\nb",\n', encoding="utf-8")
    assert read(tmp_path / "f.csv") == [
        {"user_id": "007", "rating": "4"},
        {"user_id": "a,\nb", "rating": None},
    ]


def test_tabs_and_gzip(tmp_path: Path):
    with gzip.open(tmp_path / "f.tsv.gz", "wt") as file:
        file.write("user_id\tnote\na\tx, y\n")
    assert read(tmp_path / "f.tsv.gz") == [{"user_id": "a", "note": "x, y"}]


def test_rows_of_another_length_are_bad_and_the_others_keep_their_numbers(tmp_path: Path):
    (tmp_path / "f.csv").write_text("user_id,rating\na,1\nb\nc,3\nd,4,5\n")
    [piece] = pieces_of(tmp_path / "f.csv", "events")
    result = read_piece(piece, {})
    assert result.table["user_id"].to_pylist() == ["a", "c"]
    assert result.row_number.tolist() == [1, 3]
    assert result.bad[0].count == 2
    assert result.bad[0].examples == ("row 2: b", "row 4: d,4,5")


def test_row_groups_become_pieces_that_know_where_they_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "PIECE_ROWS", 25)
    pq.write_table(pa.table({"user_id": range(100)}), tmp_path / "f.parquet", row_group_size=10)
    parts = list(read_pieces(pieces_of(tmp_path / "f.parquet", "events"), {}))
    assert [part.table.num_rows for part in parts] == [30, 30, 30, 10]
    assert [row for part in parts for row in part.row_number] == list(range(1, 101))


def test_tables_in_memory_are_taken_as_they_are():
    assert read(FRAME) == read(pa.Table.from_pandas(FRAME)) == FRAME.to_dict("records")


@pytest.mark.parametrize("name", ["f.parquet", "f.csv"])
def test_a_file_that_is_something_else_is_named(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00user_id,\xe9\n\xff,1\n")
    with pytest.raises(DataError, match=name):
        read(tmp_path / name)


def test_half_a_parquet_file_is_named(tmp_path: Path):
    FRAME.to_parquet(tmp_path / "f.parquet")
    whole = (tmp_path / "f.parquet").read_bytes()
    (tmp_path / "f.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"not a parquet file.*f\.parquet"):
        read(tmp_path / "f.parquet")


def test_renaming_replaces_a_column_that_only_has_the_name():
    table = pa.table({"event": [1], "event_type": ["VIEW"], "user_id": ["a"]})
    assert rename(table, {"event": "event_type"}, "f").to_pylist() == [{"event": "VIEW", "user_id": "a"}]
    swapped = rename(pa.table({"src": [1], "dst": [2]}), {"src": "dst", "dst": "src"}, "f")
    assert swapped.to_pylist() == [{"dst": 1, "src": 2}]


def test_a_name_that_is_not_there_is_an_error_unless_the_id_is():
    table = pa.table({"user_id": ["a"], "event_type": ["VIEW"]})
    with pytest.raises(DataError, match=r"no column 'event_typ'.*--column event=event_type"):
        rename(table, {"event": "event_typ"}, "f")
    assert rename(table, {"user_id": "uid"}, "f") == table


def test_two_columns_of_one_name_are_refused():
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["user_id", "user_id"])
    with pytest.raises(DataError, match="'user_id' occurs twice"):
        rename(table, {}, "f")
