"""Tables of items, users and edges: bad rows, joining files, and the order of the data set."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from engine.data.tables.bad_rows import FileTable, stop_if_any
from engine.data.tables.entities import check_edges, check_entities, no_entities
from engine.errors import DataError


def file_of(columns: dict[str, object], name: str = "items.csv") -> FileTable:
    table = pa.table(columns)
    return FileTable(name, table, np.arange(1, table.num_rows + 1))


BAD = {
    "no id": ({"item_id": ["a", None]}, {}, "item_id is missing"),
    "twice": ({"item_id": ["a", "a"]}, {}, "item_id has occurred before"),
    "wrong id": ({"item_id": [1.5, 2.0]}, {}, "item_id is neither text nor a whole number"),
    "infinite": ({"item_id": ["a", "b"], "price": [1.0, float("inf")]}, {}, "price is not finite"),
    "no number": (
        {"item_id": ["a", "b"], "price": ["1", "dear"]},
        {"price": "number"},
        "price is not a number",
    ),
    "no vector": ({"item_id": ["a", "b"], "v": ["1", "2"]}, {"v": "vector"}, "v is not a vector of numbers"),
    "odd vector": ({"item_id": ["a", "b"], "v": [[1.0, 2.0], [1.0]]}, {"v": "vector"}, "v is not a vector"),
}


@pytest.mark.parametrize(("columns", "given", "reason"), BAD.values(), ids=BAD)
def test_bad_rows(columns, given, reason):
    result = check_entities([file_of(columns)], "item_id", given)
    assert result.bad[0].reason.startswith(reason)
    assert result.table.num_rows == 2 - sum(b.count for b in result.bad)


def test_an_id_may_not_come_again_in_another_file():
    files = [file_of({"item_id": ["a"]}, "1.csv"), file_of({"item_id": ["b", "a"]}, "2.csv")]
    result = check_entities(files, "item_id")
    assert [(b.file, b.examples) for b in result.bad] == [("2.csv", ("row 2: item_id='a'",))]


def test_missing_features_are_fine():
    columns = {"item_id": ["a", "b"], "price": [None, float("nan")], "title": ["", None]}
    assert not check_entities([file_of(columns)], "item_id", {"price": "number"}).bad


def test_files_may_have_other_columns_but_not_other_types():
    one, two = file_of({"item_id": [1], "year": [1999]}), file_of({"item_id": [2], "colour": ["red"]})
    joined = check_entities([one, two], "item_id").table
    assert joined.to_pylist() == [
        {"item_id": "1", "year": 1999, "colour": None},
        {"item_id": "2", "year": None, "colour": "red"},
    ]
    with pytest.raises(DataError, match="do not fit together"):
        check_entities([one, file_of({"item_id": [3], "year": ["old"]})], "item_id")


def test_rows_follow_the_ids_and_those_without_features_have_nulls():
    entities = check_entities([file_of({"size": [1, 2], "item_id": ["a", "b"]})], "item_id")
    assert entities.aligned(pa.array(["b", "z"])).to_pylist() == [
        {"item_id": "b", "size": 2},
        {"item_id": "z", "size": None},
    ]
    assert no_entities("user_id").aligned(pa.array(["u"])).to_pylist() == [{"user_id": "u"}]


def test_what_is_ignored_or_odd_is_told():
    cells = {
        "a": ["1", "inf", "3", "4", "5"],
        "b": [[1.0], [1.0, 2.0], None, None, None],
        "c": [1, 2, 3, 4, 5],
    }
    entities = check_entities([file_of({"item_id": list("vwxyz"), **cells})], "item_id", {"c": "ignore"})
    assert entities.ignored == {
        "a": "another word in every row",
        "b": "lists of numbers of different lengths",
        "c": "as you say",
    }
    assert len(entities.doubts) == 1
    assert entities.doubts[0].startswith("a: 80.0% of the cells are numbers")


def test_edges_are_text_and_whole():
    table, bad = check_edges([file_of({"src": [1, None], "relation": ["knows", "knows"], "dst": ["x", "y"]})])
    assert table.to_pylist() == [{"src": "1", "relation": "knows", "dst": "x"}]
    assert bad[0].reason == "src is missing"
    with pytest.raises(DataError, match="no column 'relation'"):
        check_edges([file_of({"src": [1], "dst": [2]})])


def test_the_error_shows_file_column_count_and_first_rows():
    columns = {"item_id": ["a", None, None, None, None], "size": [1, 2, 3, 4, 5]}
    with pytest.raises(DataError) as caught:
        stop_if_any(check_entities([file_of(columns)], "item_id").bad)
    text = str(caught.value)
    assert text.startswith("4 bad rows: item_id is missing (items.csv, column item_id).")
    assert "4 of 5 rows" in text
    assert "--on-bad-rows drop" in text
    assert "row 2: item_id=None, size=2" in text
    assert "row 5" not in text  # the first three are shown
