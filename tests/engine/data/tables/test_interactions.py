"""Events are brought into one form, counted and encoded; what cannot be used is put down row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from engine.data.tables.bad_rows import FileTable
from engine.data.tables.interactions import Lookup, Tally, clean, ordered_ids, unused_columns
from engine.errors import DataError

TWO = {"user_id": ["a", "b"], "item_id": ["x", "y"]}


def file_of(columns: dict[str, object]) -> FileTable:
    table = pa.table(columns)
    return FileTable("f.csv", table, np.arange(1, table.num_rows + 1))


def cleaned(**columns: object) -> FileTable:
    return clean(file_of({**TWO, **columns}))


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ([1, -2], ["1", "-2"]),
        (pa.array([1, 2], pa.uint8()), ["1", "2"]),
        ([1.0, 2.0], ["1", "2"]),
        (["007", " x"], ["007", " x"]),
        (pa.array(["p", "q"]).dictionary_encode(), ["p", "q"]),
        ([2**53 + 1, 3], ["9007199254740993", "3"]),
    ],
)
def test_ids_are_text(ids, texts):
    assert cleaned(user_id=ids).table["user_id"].to_pylist() == texts


BAD = {
    "null user": ({"user_id": ["a", None]}, "user_id", "user_id is missing"),
    "blank item": ({"item_id": ["", "x"]}, "item_id", "item_id is missing"),
    "gap in numbers": ({"user_id": [1.0, float("nan")]}, "user_id", "user_id is missing"),
    "half an id": ({"item_id": [1.0, 2.5]}, "item_id", "item_id is neither text nor a whole number"),
    "ids in lists": ({"item_id": [["x"], ["y"]]}, "item_id", "item_id is neither text nor a whole number"),
    "NaN rating": ({"rating": [1.0, float("nan")]}, "rating", "rating is not finite"),
    "infinite value": ({"value": [1.0, float("-inf")]}, "value", "value is not finite"),
    "spelt NaN": ({"rating": ["1", "nan"]}, "rating", "rating is not finite"),
    "text for a rating": ({"rating": ["good", "4"]}, "rating", "rating is not a number"),
    "lists for ratings": ({"rating": [[1], [2]]}, "rating", "rating is not a number"),
    "no rating": ({"rating": [None, 4]}, "rating", "no rating is given"),
    "no event": ({"event": ["", "VIEW"]}, "event", "no event is given"),
    "neither": ({"rating": [None, 4], "event": [None, "VIEW"]}, "rating", "no rating nor event is given"),
    "time in words": ({"timestamp": ["1", "noon"]}, "timestamp", "timestamp is neither Unix seconds nor"),
    "milliseconds": ({"timestamp": [1, 1_457_963_676_000]}, "timestamp", "timestamp is beyond 1e+11 seconds"),
}


@pytest.mark.parametrize(("columns", "column", "reason"), BAD.values(), ids=BAD)
def test_bad_rows_are_set_apart_with_their_column_and_reason(columns, column, reason):
    result = cleaned(**columns)
    [bad] = result.bad
    assert (bad.file, bad.column) == ("f.csv", column)
    assert bad.reason.startswith(reason)
    assert bad.count + result.table.num_rows == bad.total == 2
    assert bad.examples[0].startswith("row ")


def test_a_row_is_bad_once_and_shown_with_its_number():
    result = cleaned(user_id=[None, "b"], item_id=[None, "y"], rating=["x", "3"])
    [bad] = result.bad
    assert bad.examples == ("row 1: user_id=None, item_id=None, rating='x'",)
    assert result.row_number.tolist() == [2]


@pytest.mark.parametrize(
    "times",
    [
        [60, None],
        [60.0, float("nan")],
        ["60", ""],
        ["1970-01-01T00:01:00", None],
        ["1970-01-01 01:01:00+01:00", None],
        pa.array([datetime(1970, 1, 1, 0, 1), None], pa.timestamp("ns")),
        pa.array([datetime(1970, 1, 1, 0, 1, tzinfo=UTC), None], pa.timestamp("s", "Europe/Rome")),
    ],
)
def test_times_in_any_form_are_unix_seconds_and_may_be_missing(times):
    np.testing.assert_array_equal(cleaned(timestamp=times).table["timestamp"].to_numpy(), [60, np.nan])


@pytest.mark.parametrize("numbers", [[1, 0], [True, False], ["1", " 0"], [Decimal("1.0"), Decimal(0)]])
def test_numbers_in_any_form_are_floats(numbers):
    assert cleaned(value=numbers).table["number"].to_pylist() == [1, 0]


def test_a_null_rating_beside_an_event_is_fine_and_a_rating_wins():
    result = cleaned(rating=[None, 4], event=["VIEW", "RATE"])
    tally = Tally.of(["rating", "event"], result)
    assert not result.bad
    assert tally.signals().names == ("rating=4", "VIEW")  # RATE never counts: its row has a rating


def test_without_number_and_event_something_happened():
    assert Tally.of(list(TWO), cleaned()).signals().names == ("event",)


def test_a_missing_column_names_the_closest_and_the_option():
    with pytest.raises(DataError, match=r"no column 'item_id' \(f.csv\).*--column item_id=itemid"):
        clean(file_of({"user_id": ["a"], "itemid": ["x"]}))
    with pytest.raises(DataError, match="the file is empty"):
        clean(file_of({}))


def test_a_rating_makes_a_value_unused():
    assert unused_columns(["user_id", "rating", "value", "page"]) == ["value", "page"]


def test_pieces_add_up_in_any_order():
    one, two = cleaned(rating=[1, 5], timestamp=[1, None]), cleaned(item_id=["y", "z"], rating=[5, 2])
    sums = []
    for parts in ((one, two), (two, one)):
        total = Tally()
        for part in parts:
            total.add(Tally.of(["rating"], part))
        sums.append(total)
    assert sums[0] == sums[1]
    assert sums[0].items == {"x": 1, "y": 2, "z": 1}
    assert (sums[0].n_events, sums[0].n_dated) == (4, 1)
    assert sums[0].signals().names == ("rating=1", "rating=2", "rating=5")


def test_natural_order_is_by_number_where_all_are_numbers():
    assert ordered_ids(None, ["10", "9", "-1"]).to_pylist() == ["-1", "9", "10"]
    assert ordered_ids(None, ["10", "9", "x"]).to_pylist() == ["10", "9", "x"]
    assert ordered_ids(pa.array(["7", "3"]), ["10", "3", "9"]).to_pylist() == ["7", "3", "9", "10"]


def test_events_are_encoded_by_their_rows():
    result = cleaned(rating=[5, None], event=[None, "VIEW"])
    tally = Tally.of(["rating", "event"], result)
    lookup = Lookup(pa.array(["b", "a"]), pa.array(["x", "y"]), tally.signals())
    assert lookup.encode(result.table).to_pydict() == {
        "user_row": [1, 0],
        "item_row": [0, 1],
        "signal": [0, 1],
        "timestamp": pytest.approx([float("nan")] * 2, nan_ok=True),
    }
