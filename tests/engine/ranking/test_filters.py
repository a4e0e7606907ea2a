"""Filters on features, against tables worked by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from engine.data.features.feature_encoder import FeatureEncoder
from engine.errors import RequestError
from engine.ranking.filters import FeatureFilters

TABLE = pa.table(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "brand": ["acme", "zeta", "acme", None, "zeta"],
        "floor": [1, 2, 1, 3, None],
        "genres": ["Drama|War", "Comedy", "War", "", "Comedy|Drama"],
        "price": [10.0, 20.0, 30.0, None, 50.0],
        "plot": ["a man walks", "a dog runs", "a man runs", "a cat sits", "a dog walks"],
    }
)
KINDS = {"brand": "category", "floor": "category", "genres": "tags", "price": "number", "plot": "text"}


@pytest.fixture(scope="module")
def filters() -> FeatureFilters:
    return FeatureFilters(TABLE, FeatureEncoder.fit(TABLE, KINDS))


def test_columns_that_can_be_filtered_by(filters: FeatureFilters) -> None:
    assert filters.columns == {"brand": "category", "floor": "category", "genres": "tags", "price": "number"}


@pytest.mark.parametrize(
    ("request_", "items"),
    [
        ({}, "abcde"),
        ({"brand": "acme"}, "ac"),
        ({"brand": ["acme", "zeta"]}, "abce"),
        ({"brand": []}, ""),
        ({"brand": "nobody"}, ""),
        ({"floor": 1}, "ac"),
        ({"floor": ["1", 3]}, "acd"),
        ({"genres": "War"}, "ac"),
        ({"genres": ["Comedy", "War"]}, "abce"),
        ({"price": {"min": 20}}, "bce"),
        ({"price": {"max": 20}}, "ab"),
        ({"price": {"min": 20, "max": 30}}, "bc"),
        ({"price": {"min": 30, "max": 20}}, ""),
        ({"genres": ["Drama"], "price": {"max": 20}, "brand": "acme"}, "a"),
    ],
)
def test_what_agrees_with_every_column(filters: FeatureFilters, request_: dict, items: str) -> None:
    assert "".join(np.array(list("abcde"))[filters.mask(request_)]) == items


def test_a_filter_is_compiled_once(filters: FeatureFilters) -> None:
    first = filters.mask({"brand": "acme", "price": {"min": 1}})
    assert filters.mask({"price": {"min": 1}, "brand": "acme"}) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = False


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"brnad": "acme"}, r"cannot filter by 'brnad' \(filter\). Did you mean 'brand'.*price \(number\)"),
        ({"plot": "dog"}, "cannot filter by 'plot'"),
        ({3: "dog"}, "cannot filter by '3'"),
        ({"price": 20}, r"20 is no condition on a number \(filter, 'price'\)"),
        ({"price": {}}, "no condition on a number"),
        ({"price": {"from": 1}}, "no condition on a number"),
        ({"price": {"min": "1"}}, "no condition on a number"),
        ({"price": {"min": True}}, "no condition on a number"),
        ({"brand": {"min": 1}}, "no condition on a category"),
        ({"brand": None}, "no condition on a category"),
        ({"genres": [["War"]]}, "no condition on a tags"),
        ({"brand": object()}, "neither text nor a number"),
        (["brand"], "is no filter"),
    ],
)
def test_what_cannot_be_understood_is_named(filters: FeatureFilters, request_: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        filters.mask(request_)  # type: ignore[arg-type]
