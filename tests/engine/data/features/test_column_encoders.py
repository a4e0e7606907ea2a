"""What each kind of feature becomes, cell by cell, worked by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.features.column_encoders import CategoryEncoder, NumberEncoder, VectorEncoder, hat_basis
from engine.data.features.encoders import encoder_from_json, encoder_to_json
from engine.data.features.term_encoders import TagsEncoder, TextEncoder
from engine.data.tables.cells import as_number, as_tags, as_text

ENCODERS = [
    CategoryEncoder.fit(["a"] * 5 + [7] * 6),
    TagsEncoder.fit(["x|y"] * 5, "|"),
    NumberEncoder.fit([1 / 3, 2 / 3, 0.1]),
    TextEncoder.fit(["red moon over water", "red sun"] * 5),
    VectorEncoder.fit([[1.0, 2.0], [0.3, 0.1]]),
]


def test_category_levels_need_five_rows_and_come_by_frequency():
    encoder = CategoryEncoder.fit(["b"] * 5 + ["a"] * 5 + ["often"] * 9 + ["rare"] * 4 + [None] * 9)
    assert encoder.labels == ("=often", "=a", "=b")
    expected = [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert encoder.transform(["often", "b", "rare", None, "new"]).tolist() == expected


def test_at_most_256_levels_are_kept():
    encoder = CategoryEncoder.fit([f"l{i}" for i in range(300) for _ in range(5)] + ["top"])
    assert len(encoder.levels) == 256


def test_a_gap_in_a_column_does_not_rename_its_numbers():
    assert [as_text(v) for v in (3.0, 3, "3", 3.5, True, None, float("nan"), "")] == [
        "3", "3", "3", "3.5", "True", None, None, None,
    ]  # fmt: skip


def test_tags_count_once_a_row_however_they_come():
    assert as_tags("a | b|a|", "|") == {"a", "b"}
    assert as_tags(["a", None, 3, "a"], "") == {"a", "3"}
    assert as_tags(None, "|") == as_tags([], "") == set()
    encoder = TagsEncoder.fit([["x", "y"], ["x"]] * 5, "")
    assert encoder.labels == ("=x", "=y")
    assert encoder.transform([["y", "z"], None, "x"]).tolist() == [[0, 1], [0, 0], [1, 0]]


def test_a_number_is_shared_between_the_knots_either_side():
    knots = np.array([0.0, 10.0, 30.0])
    numbers = np.array([0, 5, 10, 25, 30, -99, 99, np.nan])
    inside = [[1, 0, 0], [1 / 2, 1 / 2, 0], [0, 1, 0], [0, 1 / 4, 3 / 4], [0, 0, 1]]
    expected = [*inside, [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert hat_basis(numbers, knots).tolist() == expected


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50))
def test_hats_sum_to_one_and_reproduce_the_number_between_the_knots(numbers):
    encoder = NumberEncoder.fit(numbers)
    weights = encoder.transform(numbers).astype(np.float64)
    assert len(encoder.knots) <= 8
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert (weights >= 0).all()
    scale = max(map(abs, numbers)) + 1e-9
    np.testing.assert_allclose(
        weights @ np.array(encoder.knots) / scale, np.array(numbers) / scale, atol=1e-5
    )


def test_a_constant_number_has_one_knot_and_an_empty_one_none():
    assert NumberEncoder.fit([4, 4, None]).transform([4, 9, None]).tolist() == [[1], [1], [0]]
    assert NumberEncoder.fit([None, float("nan")]).transform([3.0]).shape == (1, 0)


def test_dates_count_in_seconds_of_utc():
    assert as_number(date(1970, 1, 2)) == as_number(datetime(1970, 1, 2)) == 86_400
    assert as_number(datetime(1970, 1, 1, 1, tzinfo=UTC)) == 3_600


@pytest.mark.parametrize("cell", ["old", [1], {"a": 1}, float("inf"), "inf", 10**400])
def test_what_is_no_finite_number_is_refused(cell):
    with pytest.raises(ValueError, match="number"):
        as_number(cell)


def test_text_rows_have_length_one_or_zero():
    encoder = TextEncoder.fit(["red moon", "red sun", None] * 5)
    assert encoder.labels == (":moon", ":red", ":sun")
    rows = encoder.transform(["red moon", "the unknown", None])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 0], atol=1e-6)
    assert rows[0, 0] > rows[0, 1] > 0  # the rarer word weighs more


def test_too_few_texts_give_no_columns():
    assert TextEncoder.fit(["alpha beta"] * 4).transform(["alpha"]).shape == (1, 0)


def test_vectors_have_mean_norm_one():
    cells = [[3.0, 4.0], None, [0.0, 15.0]]
    rows = VectorEncoder.fit(cells).transform(cells)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1 / 2, 0, 3 / 2])
    with pytest.raises(ValueError, match="length 3, expected 2"):
        VectorEncoder.fit(cells).transform([[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="different lengths"):
        VectorEncoder.fit([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: e.kind)
def test_json_round_trip_is_exact(encoder):
    assert encoder_from_json(json.loads(json.dumps(encoder_to_json(encoder)))) == encoder
