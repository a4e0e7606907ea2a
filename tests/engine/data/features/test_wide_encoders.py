"""Columns of many tags or words: rows that share terms are close, and the same data give the same numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from engine.data.features import wide_encoders
from engine.data.features.encoders import encoder_from_json, encoder_to_json, fit_encoder
from engine.data.features.term_encoders import TagsEncoder, TextEncoder
from engine.data.features.wide_encoders import WideTagsEncoder, WideTextEncoder

CIRCLES, MEMBERS = 10, 20


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Columns are wide from 65 common terms on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide_encoders, "WIDE", 64)
        yield


def circle_rows(n: int, seed: int = 0) -> list[list[str]]:
    """Row i names six of the twenty members of circle i % 10."""
    rng = np.random.default_rng(seed)
    return [[f"c{i % CIRCLES}m{m}" for m in rng.choice(MEMBERS, 6, replace=False)] for i in range(n)]


@pytest.fixture(scope="module")
def tags() -> WideTagsEncoder:
    return fit_encoder("tags", circle_rows(400), "")


def test_only_columns_of_many_terms_are_wide():
    few = [[f"t{i % 64}", "all"] for i in range(5 * 64)]  # 65 terms in five rows
    assert isinstance(fit_encoder("tags", few, ""), WideTagsEncoder)
    assert isinstance(fit_encoder("tags", [row[:1] for row in few], ""), TagsEncoder)  # 64 of them
    assert isinstance(fit_encoder("text", [f"word{i} and" for i in range(500)], ""), TextEncoder)  # each once
    assert isinstance(fit_encoder("text", [f"word{i % 100}" for i in range(500)], ""), WideTextEncoder)


def test_rows_of_one_circle_are_close_though_they_share_no_term(tags):
    halves = (range(0, MEMBERS // 2), range(MEMBERS // 2, MEMBERS))
    one, two = (tags.transform([[f"c{c}m{m}" for m in half] for c in range(CIRCLES)]) for half in halves)
    closeness = one @ two.T
    assert closeness.diagonal().min() > 0.2
    assert np.abs(closeness[~np.eye(CIRCLES, dtype=bool)]).max() < 0.05


def test_rows_have_length_one_or_zero(tags):
    rows = tags.transform([*circle_rows(20, seed=1), None, [], ["stranger"]])
    assert rows.shape == (23, len(tags.labels))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1] * 20 + [0] * 3, atol=1e-6)


def test_where_nothing_is_truncated_rows_are_as_close_as_by_tf_idf():
    """Forty kinds of rows span forty dimensions: V keeps them all, and so every cosine."""
    kinds = [[f"t{(i * 7 + j * j) % 100}" for j in range(i % 5 + 2)] for i in range(40)]
    rows = [kinds[i % 40] for i in range(200)]
    encoder = fit_encoder("tags", rows, "")
    assert len(encoder.labels) == 40
    x = encoder.transform(rows)
    tfidf = TfidfVectorizer(analyzer=list).fit_transform([sorted(set(row)) for row in rows]).toarray()
    np.testing.assert_allclose(x @ x.T, tfidf @ tfidf.T, atol=2e-3)


def test_order_and_repeats_of_tags_do_not_matter_and_words_count_by_their_logarithm():
    encoder = fit_encoder("tags", circle_rows(400), "")
    row = circle_rows(1)[0]
    np.testing.assert_array_equal(encoder.transform([row]), encoder.transform([[*row[::-1], row[0]]]))
    words = fit_encoder("text", [" ".join(r) for r in circle_rows(400)], "")
    once, often = words.transform(["c1m1 c2m1", "c1m1 c1m1 c1m1 c2m1"])
    assert not np.allclose(once, often)
    factors = {w: words.transform([w])[0] for w in ("c1m1", "c2m1")}
    assert often @ factors["c1m1"] > once @ factors["c1m1"]


def test_the_first_rows_do_not_depend_on_the_others(tags):
    rows = circle_rows(30, seed=2)
    together = tags.transform(rows)
    for row, expected in zip(rows, together, strict=True):
        np.testing.assert_array_equal(tags.transform([row])[0], expected)


@pytest.mark.parametrize("kind", ["tags", "text"])
def test_json_round_trip_is_exact(kind):
    rows = [row if kind == "tags" else " ".join(row) for row in circle_rows(400)]
    encoder = fit_encoder(kind, rows, "")
    back = encoder_from_json(json.loads(json.dumps(encoder_to_json(encoder))))
    assert back == encoder
    np.testing.assert_array_equal(back.transform(rows), encoder.transform(rows))


FIT = """
import hashlib, json
from engine.data.features.encoders import encoder_to_json, fit_encoder
rows = [[f"t{(i * 7 + j * j) % 150}" for j in range(6)] for i in range(400)]
print(hashlib.sha256(json.dumps(encoder_to_json(fit_encoder("tags", rows, ""))).encode()).hexdigest())
"""


def test_the_same_data_give_the_same_factors_in_another_process():
    prints = {
        subprocess.run(
            [sys.executable, "-c", FIT],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1
