"""Kinds are guessed sensibly, and tables and requests are encoded alike."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.features.kinds import infer_kind, infer_kinds, separator_of
from engine.errors import DataError, RequestError

N = 200


def column(values: list[object]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


def cycled(*values: object) -> list[object]:
    return [values[i % len(values)] for i in range(N)]


GUESSES = {
    "a title": ("title", [f"The {w} story, part {i}" for i, w in enumerate(cycled("long", "short"))], "text"),
    "a year in text": ("year", [str(1900 + i % 90) for i in range(N)], "number"),
    "genres, piped": ("genres", cycled("Comedy|Drama", "Drama", "War|Western|Drama"), "tags"),
    "genres, commas": ("class", cycled("red, blue", "blue", "green, red"), "tags"),
    "a list": ("actors", cycled(["A B"], ["C", "D"]), "tags"),
    "a list of codes": ("category_ids", cycled([1, 2], [3]), "tags"),
    "an embedding": ("image", cycled([0.1, 0.2], [0.3, 0.4]), "vector"),
    "ragged numbers": ("prices", cycled([0.1], [0.3, 0.4]), "ignore"),
    "age in years": ("age", [18 + i % 60 for i in range(N)], "number"),
    "age groups": ("age", cycled(1, 18, 25, 35, 45, 50, 56), "category"),
    "a gap in codes": ("occupation", cycled(1.0, 2.0, None), "category"),
    "few prices": ("price", cycled(1.5, 2.5, 3.5), "number"),
    "a foreign key": ("brand_id", [i % 90 for i in range(N)], "category"),
    "a key of its own": ("asset_id", list(range(N)), "ignore"),
    "gender": ("gender", cycled("M", "F"), "category"),
    "zip codes": ("zip_code", [f"{10000 + 7 * i}" for i in range(N - 1)] + ["10000"], "category"),
    "zeros in front": ("plant", [f"{i % 50:04d}" for i in range(N)], "category"),
    "phrases that recur": ("occupation", cycled("doctor/health care", "K-12 student"), "category"),
    "links": ("page", [f"http://a.b/{i}" for i in range(N)], "ignore"),
    "pictures": ("cover", [f"{i}.jpg" for i in range(N)], "ignore"),
    "hashes": ("sku", [f"x{i}y" for i in range(N)], "ignore"),
    "yes or no": ("is_new", cycled(True, False), "category"),
    "nothing": ("empty", [None] * N, "ignore"),
    "blanks": ("empty", [""] * N, "ignore"),
}


@pytest.mark.parametrize(("name", "values", "kind"), GUESSES.values(), ids=GUESSES)
def test_guesses(name, values, kind):
    assert infer_kind(name, column(values)) == kind


def test_dates_are_numbers():
    assert infer_kind("released", column([pd.Timestamp("1995-01-01"), None])) == "number"


def test_a_schema_overrides_and_is_checked():
    table = pa.table({"item_id": ["a"], "title": ["b"]})
    assert infer_kinds(table, "item_id", {"title": "ignore"}) == {"title": "ignore"}
    with pytest.raises(
        DataError, match=r"unknown feature kind 'words'.*category, tags, number, text, vector"
    ):
        infer_kinds(table, "item_id", {"title": "words"})
    with pytest.raises(DataError, match=r"'titel', which is not there.*Did you mean 'title'"):
        infer_kinds(table, "item_id", {"titel": "text"})


def test_the_separator_is_what_most_rows_have():
    assert separator_of(column(["a;b", "c;d,e", "f"])) == ";"
    assert separator_of(column([["a"], ["b"]])) == ""


@pytest.fixture(scope="module")
def people() -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "user_id": [f"u{i}" for i in range(N)],
            "age": rng.integers(18, 80, N),
            "city": rng.choice(["Rome", "Oslo", "Lima"], N),
            "likes": [list(rng.choice(["jazz", "rock", "folk"], rng.integers(0, 3))) for _ in range(N)],
            "about": [" ".join(rng.choice(["quiet", "loud", "tall", "late"], 3)) for _ in range(N)],
            "face": [rng.normal(size=4).tolist() for _ in range(N)],
        }
    )


KINDS = {"age": "number", "city": "category", "likes": "tags", "about": "text", "face": "vector"}


def test_names_and_columns_go_together(people):
    encoder = FeatureEncoder.fit(people, {**KINDS, "user_id": "ignore"})
    x_NF = encoder.transform(people)
    assert x_NF.shape == (N, encoder.n_features)
    assert x_NF.dtype == np.float32
    assert encoder.kinds == KINDS
    rome = encoder.names.index("city=Rome")
    assert x_NF[:, rome].tolist() == [float(c == "Rome") for c in people["city"].to_pylist()]


def test_one_request_is_encoded_like_the_row_of_a_table(people):
    encoder = FeatureEncoder.fit(people, KINDS)
    x_NF = encoder.transform(people)
    for row, features in enumerate(people.slice(0, 20).to_pylist()):
        np.testing.assert_array_equal(encoder.transform_one(features, nobody(encoder)), x_NF[row])


def nobody(encoder: FeatureEncoder) -> np.ndarray:
    return np.zeros(encoder.n_features, np.float32)


def test_what_is_unknown_gives_zeros(people):
    encoder = FeatureEncoder.fit(people, KINDS)
    empty = {"age": None, "city": "Paris", "likes": [], "about": ""}
    assert not encoder.transform_one(empty, nobody(encoder)).any()
    assert not encoder.transform(pa.table({"age": pa.nulls(3)})).any()


def test_what_is_not_told_is_taken_as_the_average(people):
    encoder = FeatureEncoder.fit(people, KINDS)
    average = encoder.transform(people).mean(axis=0)
    for features in (None, {}, {"shoe": 9}, {"age": None}):
        np.testing.assert_array_equal(encoder.transform_one(features, average), average)
    told = encoder.transform_one({"city": "Rome"}, average)
    city = [name.startswith("city=") for name in encoder.names]
    assert sorted(told[city]) == [0.0] * (sum(city) - 1) + [1.0]
    np.testing.assert_array_equal(told[~np.array(city)], average[~np.array(city)])


@pytest.mark.parametrize("features", [{"age": "old"}, {"city": ["Rome"]}, {"face": [1.0]}, {"face": "smile"}])
def test_a_wrong_value_in_a_request_names_the_feature(people, features):
    encoder = FeatureEncoder.fit(people, KINDS)
    with pytest.raises(RequestError, match=f"feature '{next(iter(features))}'"):
        encoder.transform_one(features, nobody(encoder))


def test_fitted_on_some_rows_it_serves_the_others(people):
    encoder = FeatureEncoder.fit(people.slice(0, N // 2), KINDS)
    rest = encoder.transform(people.slice(N // 2))
    assert rest.shape == (N // 2, encoder.n_features)
    ages = [i for i, name in enumerate(encoder.names) if name.startswith("age~")]
    np.testing.assert_allclose(rest[:, ages].sum(1), 1, atol=1e-6)


def test_json_round_trip_is_exact(people):
    encoder = FeatureEncoder.fit(people, KINDS)
    back = FeatureEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert back == encoder
    np.testing.assert_array_equal(back.transform(people), encoder.transform(people))


def test_a_cell_of_another_kind_names_the_column(people):
    with pytest.raises(DataError, match="column 'city', a number"):
        FeatureEncoder.fit(people, {"city": "number"})
    with pytest.raises(DataError, match="no feature column 'size'"):
        FeatureEncoder.fit(people, {"size": "number"})
