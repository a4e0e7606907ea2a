from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from engine.data.episodes import Episodes
from engine.data.histories import Histories
from engine.evaluation.baselines import Scorer, baselines, knowledge
from engine.evaluation.baselines.families import FAMILIES, Family
from engine.evaluation.baselines.item_item import fit_ease, fit_item_knn
from engine.evaluation.baselines.knowledge import learn
from engine.evaluation.baselines.scorer import Blend, ByShots, Constant, blend, standardised
from engine.evaluation.baselines.tuning import as_scorer, tune
from engine.evaluation.metrics import ndcg_at
from engine.evaluation.protocol import hold_out

LIKED = np.array([False, True])


@pytest.fixture(scope="module")
def tuned(tastes: Histories) -> dict[str, Scorer]:
    """All baselines, fitted to 40 users and tuned on 10 others; the last 10 users stay unseen."""
    x = np.zeros((60, 0), np.float32)
    validation = hold_out(tastes, np.arange(40, 50), x, LIKED, shots=(0, 2, 4), gap=4)
    train = tastes.take(np.arange(40))
    return {s.name: s for s in baselines(train, 24, LIKED, validation.episodes, gap=4)}


PERSONAL = [family.name for family in FAMILIES]
NAMES = ["popularity", "late popularity", *PERSONAL]


class TestEveryScorer:
    """What all scorers owe."""

    @pytest.mark.parametrize("name", NAMES)
    def test_a_batch_scores_like_each_user_alone(self, tuned, make_episodes, name: str) -> None:
        support = [[0, 3], [], [12], [20, 1, 2, 3, 4]]
        together = tuned[name].score(make_episodes([[]] * 4, support=support))
        alone = [tuned[name].score(make_episodes([[]], support=[row]))[0] for row in support]
        assert together.dtype == np.float32
        np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("name", NAMES)
    def test_the_query_is_never_looked_at(self, tuned, make_episodes, name: str) -> None:
        asked, unasked = (make_episodes(query, support=[[0, 3]]) for query in ([[5, 6]], [[]]))
        np.testing.assert_array_equal(tuned[name].score(asked), tuned[name].score(unasked))

    @pytest.mark.parametrize("name", PERSONAL)
    def test_no_events_means_late_popularity(self, tuned, make_episodes, name: str) -> None:
        nobody = make_episodes([[]])
        np.testing.assert_array_equal(tuned[name].score(nobody), tuned["late popularity"].score(nobody))

    @pytest.mark.parametrize("name", PERSONAL)
    @pytest.mark.parametrize("kind", [0, 10])
    def test_two_likes_tell_the_kind_of_user(self, tuned, make_episodes, name: str, kind: int) -> None:
        scores = tuned[name].score(make_episodes([[]], support=[[kind, kind + 1]]))[0]
        own, other = np.arange(kind + 2, kind + 10), np.arange(10 - kind, 20 - kind)
        assert scores[own].min() > scores[other].max()


def test_counts_by_hand(make_histories) -> None:
    histories = make_histories([[0, 1, 1, 2], [1, 0], [2]], [[1, 1, 1, 0], [1, 1], [1]])
    known = learn(histories, 4, LIKED, gap=1)
    assert known.liked.toarray().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert known.seen.toarray().tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert known.popularity.tolist() == [2, 2, 1, 0]
    assert known.late.tolist() == [1, 2, 1, 0]  # gaps of 1, 1 and 0 events
    assert known.gram("seen")[0].tolist() == [2, 2, 1, 0]
    by_chance = learn(histories, 4, LIKED, gap=1, order="random").late
    np.testing.assert_allclose(by_chance, [3 / 4 + 1 / 2, 3 / 4 + 3 / 4 + 1 / 2, 1, 0])


def test_item_knn_by_hand(make_histories) -> None:
    known = learn(make_histories([[0, 1], [0, 1, 2], [0]]), 3, LIKED)
    a, b, c = 2 / (6**0.5 + 1), 1 / (3**0.5 + 1), 1 / (2**0.5 + 1)  # pairs (0, 1), (0, 2), (1, 2)
    np.testing.assert_allclose(
        fit_item_knn(known, shrink=1).weight, [[0, a, b], [a, 0, c], [b, c, 0]], rtol=1e-6
    )
    nearest = fit_item_knn(known, shrink=1, neighbours=1).weight
    np.testing.assert_allclose(nearest, [[0, a, 0], [a, 0, c], [0, 0, 0]], rtol=1e-6)


def test_ease_is_a_ridge_regression_of_each_item_on_the_others(tastes: Histories) -> None:
    known = learn(tastes, 24, LIKED)
    weight, X = fit_ease(known, penalty=5).weight, known.liked.toarray().astype(np.float64)
    for j in range(24):
        rest = np.delete(np.arange(24), j)
        A = X[:, rest].T @ X[:, rest] + 5 * np.eye(23)
        np.testing.assert_allclose(weight[rest, j], np.linalg.solve(A, X[:, rest].T @ X[:, j]), atol=1e-5)
        assert weight[j, j] == 0


def test_items_beyond_the_core_have_no_personal_score(
    monkeypatch, tastes: Histories, make_episodes: Callable[..., Episodes]
) -> None:
    monkeypatch.setattr(knowledge, "CORE_ITEMS", 6)
    known = learn(tastes, 24, LIKED)
    scores = fit_ease(known).score(make_episodes([[]], support=[list(range(24))]), "liked")[0]
    assert len(known.core) == 6
    assert set(np.flatnonzero(scores)) <= set(known.core.tolist())
    assert scores[known.core].all()


def test_support_is_what_was_liked_or_all(tastes: Histories) -> None:
    held = hold_out(tastes, np.array([0]), np.zeros((60, 0), np.float32), LIKED, (10,), gap=10, min_events=11)
    known, run = learn(tastes, 24, LIKED), tastes.of(0)
    items, liked = tastes.item_row[run][:10], LIKED[tastes.signal[run][:10]]
    for events, expected in (("seen", items), ("liked", items[liked])):
        assert np.flatnonzero(known.support(held.episodes[10], events)[0]).tolist() == sorted(expected)


@dataclass(frozen=True)
class Told:
    """Scores the query items themselves, times ``honesty``: its right setting is known beforehand."""

    honesty: float

    def score(self, episodes: Episodes, events: str) -> np.ndarray:
        scores = np.zeros((len(episodes), 24), np.float32)
        scores[episodes.query_user.numpy(), episodes.query_item.numpy()] = self.honesty
        return scores


def test_tuning_finds_the_setting_that_is_right(tastes: Histories) -> None:
    family = Family("told", lambda known, honesty: Told(honesty), {"honesty": (-1.0, 0.0, 1.0)})
    known = learn(tastes, 24, LIKED)
    episodes = hold_out(tastes, np.arange(5), np.zeros((60, 0), np.float32), LIKED, (0, 2), gap=4).episodes
    choices = tune(family, known, episodes, known.base)
    assert [(c.setting["honesty"], c.weight) for c in choices.values()] == [(1.0, 0.0)] * 2
    assert [c.quality for c in choices.values()] == pytest.approx([1.0] * 2)
    scores = as_scorer(family, known.base, choices).score(episodes[2])
    np.testing.assert_allclose(ndcg_at(scores, episodes[2]), 1)


def test_large_validation_sets_are_sampled(monkeypatch, tastes: Histories) -> None:
    asked = []

    def fit(known) -> Told:
        return Told(1.0)

    monkeypatch.setattr(Told, "score", lambda self, e, events: asked.append(len(e)) or np.zeros((len(e), 24)))
    monkeypatch.setattr("engine.evaluation.baselines.tuning.TUNING_USERS", 3)
    episodes = hold_out(tastes, np.arange(9), np.zeros((60, 0), np.float32), LIKED, (0, 2), gap=4).episodes
    baselines(tastes, 24, LIKED, episodes, gap=4, families=[Family("told", fit, {})])
    assert asked == [3] * 4  # two numbers of shots, liked events or all


def test_where_all_events_are_relevant_no_setting_is_tried_twice(tastes: Histories) -> None:
    some, every = (learn(tastes, 24, relevant) for relevant in (LIKED, np.array([True, True])))
    assert [len(f.settings(some)) for f in FAMILIES] == [8, 8, 6]
    assert [len(f.settings(every)) for f in FAMILIES] == [4, 4, 6]


def test_each_user_is_answered_by_the_choice_for_its_number_of_events(make_episodes) -> None:
    scorer = ByShots("x", {k: Constant("x", np.full(3, k, np.float32)) for k in (1, 3, 10)})
    episodes = make_episodes([[]] * 5, support=[[], [0], [0, 1, 2], [0, 1, 2, 0], [0] * 12])
    assert scorer.score(episodes)[:, 0].tolist() == [1, 1, 3, 3, 10]


def test_blend_by_hand(make_episodes) -> None:
    base = np.array([1, 2, 3], np.float32)
    own = standardised(np.array([[0, 0, 3], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(own[0], [0, 0, 3 / 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(blend(own, base, 2)[0], [2, 4, 6 + 3 / 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(blend(own, base, 0)[1], base)
    quiet = Blend("x", Told(0), "liked", np.arange(24, dtype=np.float32), weight=0)
    np.testing.assert_allclose(quiet.score(make_episodes([[1]]))[0], np.arange(24))
