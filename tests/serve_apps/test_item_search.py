"""Searching the catalogue: the order of matches, folding, and equality with a plain scan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_apps.item_search import ItemSearch, fold

IDS = ["10", "star", "100", "c", "d", "e", "x-10"]
TITLES = ["Rockstar", "Nothing", "A Star is Born", "Star Wars", "'Tis a (star)", "Amélie  de\nMontmartre", ""]


def found(query: str, limit: int = 10) -> list[str]:
    return [IDS[row] for row in ItemSearch(IDS, TITLES).find(query, limit)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("star", ["star", "c", "100", "d", "10"]),  # exact id, begins, words in order of rows, inside a word
        ("10", ["10", "100"]),  # the exact id, then ids that begin with it
        ("STAR WARS", ["c"]),
        ("tis a star", ["d"]),
        ("amelie de montmartre", ["e"]),
        ("Amélie", ["e"]),
        ("  ", IDS),
        ("!?", []),
        ("no such thing", []),
    ],
)
def test_order_and_folding(query: str, expected: list[str]) -> None:
    assert found(query) == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_a_smaller_limit_gives_the_beginning_of_the_same_list(limit: int) -> None:
    assert found("star", limit) == found("star")[:limit]


def test_without_titles_only_ids_are_searched() -> None:
    assert ItemSearch(IDS, None).find("x", 5) == [6]
    assert ItemSearch([], None).find("", 5) == []


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
few_letters = st.text("aBé -(\n", max_size=6)


@given(titles=st.lists(few_letters | texts, max_size=8), query=few_letters | texts)
def test_finds_exactly_the_titles_that_contain_the_folded_query(titles: list[str], query: str) -> None:
    ids = [f"id{row}" for row in range(len(titles))]
    words = fold(" ".join(query.split()))
    plain_scan = {row for row, title in enumerate(titles) if words in fold(" ".join(title.split()))}
    rows = ItemSearch(ids, titles).find(query, 100)
    assert len(rows) == len(set(rows))
    if words and not "id".startswith(words[:2]):
        assert set(rows) == plain_scan
