"""Roles and columns are guessed from names and cells, and only where the cells allow it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from engine.data.tables.guess import own_names, plain, role_of


@pytest.mark.parametrize(
    ("file", "names", "role"),
    [
        ("interactions", ["user_id", "item_id"], "interactions"),
        ("x", ["personId", "contentId", "eventType"], "interactions"),
        ("user_artists", ["userID", "artistID", "weight"], "interactions"),
        ("movies", ["movieId", "title", "genres"], "items"),
        ("posts", ["id", "user_id", "title"], "items"),  # a writer is no event
        ("users", ["id", "age"], "users"),
        ("customers", ["customer_id", "country"], "users"),
        ("friends", ["user_1", "user_2", "relation"], "edges"),
        ("kg", ["head", "relation", "tail"], "edges"),
        ("visits", ["anonymous_visitor_id", "article_sku", "action"], "interactions"),
        ("clicks", ["visitor", "thing", "when"], "interactions"),  # its name says so, and who it was
        ("weather", ["day", "rain"], None),
    ],
)
def test_what_a_table_is(file: str, names: list[str], role: str | None) -> None:
    assert role_of(file, names) == role


def test_names_are_compared_in_one_form() -> None:
    assert [plain(n) for n in ("personId", "Person ID", "person_id:token")] == ["person_id"] * 3


EVENTS = {
    "uid": ["a", "b"],
    "sku": [1, 2],
    "action": ["see", "buy"],
    "created_at": ["2020-01-01", "2020-01-02"],
}


def test_columns_of_events() -> None:
    own = own_names(pa.table(EVENTS), "interactions", {})
    assert own == {"user_id": "uid", "item_id": "sku", "event": "action", "timestamp": "created_at"}


def test_what_is_told_is_not_guessed_and_its_column_is_taken() -> None:
    own = own_names(pa.table(EVENTS), "interactions", {"event": "created_at"})
    assert own == {"user_id": "uid", "item_id": "sku"}


def test_a_number_is_not_guessed_beside_a_name_which_it_would_overrule() -> None:
    table = pa.table({**EVENTS, "duration": [1, 2]})
    assert "value" not in own_names(table, "interactions", {})
    assert own_names(table.drop_columns("action"), "interactions", {})["value"] == "duration"


@pytest.mark.parametrize(
    "cells",
    [
        {"stars": ["good", "bad"]},  # no number
        {"time": ["soon", "late"]},  # no moment
        {"action": ["see", "see"]},  # says nothing
        {"count": [[1], [2]]},  # lists
    ],
)
def test_cells_must_fit(cells: dict[str, list[object]]) -> None:
    assert own_names(pa.table({"user_id": [1, 2], "item_id": [1, 2], **cells}), "interactions", {}) == {}


def test_a_slip_of_the_pen_is_forgiven() -> None:
    table = pa.table({"user_id": [1, 2], "item_id": [1, 2], "timestmp": [1, 2]})
    assert own_names(table, "interactions", {}) == {"timestamp": "timestmp"}


def test_the_one_column_of_a_time_type_is_the_time_whatever_its_name() -> None:
    moments = pa.array([0, 1], pa.timestamp("us"))
    ids = {"user_id": [1, 2], "item_id": [1, 2]}
    assert own_names(pa.table({**ids, "happened": moments}), "interactions", {}) == {"timestamp": "happened"}
    two = pa.table({**ids, "happened": moments, "stored": moments})
    assert own_names(two, "interactions", {}) == {}
