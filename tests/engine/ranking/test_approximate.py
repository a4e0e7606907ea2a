"""The approximate search beside the exact one, on a catalogue whose best items do not come first."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from engine import Recommender
from engine.artifact import Artifact
from engine.errors import ConfigError
from engine.ranking import approximate
from engine.ranking.approximate import TARGET, ApproximateSearch
from engine.ranking.layout import laid_out
from engine.ranking.search import BLOCK, Aim, Tables, best
from tests.synthetic import synthetic_artifact

D, N = 16, 40 * BLOCK
NOBODY = np.zeros(1, np.float32), np.zeros(6, np.float32), 0.0
ALL, NONE = np.empty(0, np.bool_), np.empty(0, np.int64)


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Kinds of items; popularity says next to nothing."""
    rng = np.random.default_rng(0)
    kinds = rng.standard_normal((100, D))
    phi_ND = kinds[rng.integers(0, 100, N)] + 0.4 * rng.standard_normal((N, D))
    base_N = 0.01 * rng.standard_normal(N) - 8
    return laid_out(
        phi_ND.astype(np.float32), np.ones(D, np.float32), base_N.astype(np.float32), np.eye(D), None
    )


def users(tables: Tables, seed: int, n: int) -> list[Aim]:
    rng = np.random.default_rng(seed)
    liked = tables.phi_ND[rng.integers(0, N, (n, 3))].mean(axis=1).astype(np.float64)
    return [Aim(3 * w_D, 1.0, *NOBODY, 0.0, np.eye(D)) for w_D in liked]


@pytest.fixture(scope="module")
def search(tables: Tables) -> ApproximateSearch:
    return ApproximateSearch(tables, users(tables, 1, 64), first=2)


def exact(tables: Tables, aim: Aim, k: int, barred: np.ndarray = NONE) -> tuple[np.ndarray, np.ndarray]:
    rows, scores, _ = best(tables, aim, k, ALL, barred, len(tables.row_GB))
    return rows, scores


def test_as_much_is_found_as_was_measured_by_reading_part_of_the_lists(
    tables: Tables, search: ApproximateSearch
) -> None:
    assert search.recall >= TARGET
    assert search.n_read < search.n_lists / 4
    found = [
        np.isin(exact(tables, aim, 20)[0], search(aim, 20, NONE)[0]).mean() for aim in users(tables, 2, 64)
    ]
    assert np.mean(found) == pytest.approx(search.recall, abs=0.05)


def test_fewer_lists_find_less(tables: Tables, search: ApproximateSearch) -> None:
    """So that the recall that is measured can be wanting."""
    aims = users(tables, 2, 64)
    search._index.nprobe = 1
    try:
        found = [np.isin(exact(tables, aim, 20)[0], search(aim, 20, NONE)[0]).mean() for aim in aims]
    finally:
        search._index.nprobe = search.n_read
    assert np.mean(found) < TARGET


def test_what_is_found_is_scored_exactly_and_best_first(tables: Tables, search: ApproximateSearch) -> None:
    for aim in users(tables, 3, 10):
        rows, scores = search(aim, 20, NONE)
        expected = tables.phi_ND[rows] @ aim.w_D + tables.base_N[rows]
        np.testing.assert_allclose(scores, expected, rtol=1e-4)
        assert (np.diff(scores) <= 0).all()
        assert len(set(rows.tolist())) == 20


def test_barred_items_are_left_out(tables: Tables, search: ApproximateSearch) -> None:
    (aim,) = users(tables, 4, 1)
    barred = exact(tables, aim, 15)[0]
    rows, _ = search(aim, 20, barred)
    assert len(rows) == 20
    assert not np.isin(rows, barred).any()
    assert np.isin(rows, exact(tables, aim, 20, barred)[0]).mean() > 0.8


def test_where_the_first_blocks_settle_it_the_answer_is_exact(tables: Tables) -> None:
    base_N = np.linspace(0, -2000, N).astype(np.float32)
    skewed = laid_out(tables.phi_ND, np.ones(D, np.float32), base_N, np.eye(D), None)
    search = ApproximateSearch(skewed, users(tables, 5, 8), first=3)
    assert (search.n_read, search.recall) == (1, 1.0)
    for aim in users(tables, 6, 8):
        np.testing.assert_array_equal(search(aim, 10, NONE)[0], exact(skewed, aim, 10)[0])


def flat(n_items: int) -> Artifact:
    """Popularity says nothing: searches read all of it."""
    artifact = synthetic_artifact(n_items, 8)
    artifact.model.ridge = None
    artifact.model.items.base_N.fill_(-5.0)
    return artifact


def test_a_recommender_searches_so_above_a_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "FIRST", 1)
    asked: list[int] = []
    proposed = ApproximateSearch._proposed
    monkeypatch.setattr(
        ApproximateSearch, "_proposed", lambda self, aim, n: asked.append(n) or proposed(self, aim, n)
    )
    artifact = flat(6000)
    plain, small, large = (Recommender(artifact, above) for above in (None, 6000, 5999))
    assert plain._scorer.approximate is small._scorer.approximate is None
    assert plain.recall == 1.0
    assert large._scorer.approximate is not None
    assert TARGET <= large.recall <= 1.0
    events = [{"item_id": f"i{row}", "value": 5.0} for row in (3, 70, 900)]
    asked.clear()
    ours, theirs = large.recommend(events, k=10), plain.recommend(events, k=10)
    assert asked == [10 * 10 + 3]
    assert len({i.item_id for i in ours} & {i.item_id for i in theirs}) >= 8
    asked.clear()
    for exactly in ({"explore": "ucb"}, {"candidates": plain.item_ids[:4000]}, {"k": 6000}):
        assert large.recommend(events, **exactly) == plain.recommend(events, **exactly)
    assert not asked


def test_nobody_having_met_anything_is_no_hindrance() -> None:
    artifact = flat(600)
    artifact.model.items.known_N.zero_()
    assert 0 < Recommender(artifact, 10).recall <= 1.0


def test_without_faiss_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refusing(name: str, *rest: object) -> object:
        if name == "faiss":
            raise ImportError("No module named 'faiss'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.raises(ConfigError, match=r"firstclick\[index\]"):
        Recommender(synthetic_artifact(600, 4), 10)
