from __future__ import annotations

import numpy as np
import pytest

from engine.errors import DataError
from engine.evaluation.baselines.cold import cold_baselines
from engine.evaluation.baselines.features import fit_feature_knn, popularity_by_features
from engine.evaluation.baselines.knowledge import learn
from engine.evaluation.cold_items import draw_cold_items, hold_out_items
from engine.evaluation.metrics import candidate_scores, ndcg_at

LIKED = np.array([False, True])
COLD = np.isin(np.arange(24), [3, 7, 13, 17])  # two of either kind of `tastes`
KIND = np.zeros((24, 3), np.float32)
KIND[np.arange(24), np.arange(24) // 10] = 1


def no_features(histories) -> np.ndarray:
    return np.zeros((histories.n_users, 0), np.float32)


def test_a_share_of_the_items_with_events_is_drawn_by_the_seed_alone() -> None:
    met = np.arange(40) % 2 == 0
    drawn = draw_cold_items(met, 0.25, seed=3)
    assert drawn.sum() == 5
    assert not (drawn & ~met).any()
    np.testing.assert_array_equal(drawn, draw_cold_items(met, 0.25, seed=3))
    assert (drawn != draw_cold_items(met, 0.25, seed=4)).any()
    assert not draw_cold_items(met, 0.0, seed=3).any()


def test_support_is_warm_and_query_and_candidates_are_cold(make_histories) -> None:
    histories = make_histories([[0, 5, 1, 2, 4]], [[1, 1, 0, 1, 0]])
    cold = np.array([False, False, False, False, True, True])
    held = hold_out_items(histories, cold, np.array([0]), no_features(histories), LIKED, (0, 1, 3), gap=0)
    shown = [e.support_item[0][e.present[0]].tolist() for e in held.episodes.values()]
    assert shown == [[], [0], [0, 1, 2]]
    for episodes in held.episodes.values():
        assert episodes.query_item.tolist() == [5]  # 4 was disliked
        left = candidate_scores(np.zeros((1, 6), np.float32), episodes)
        np.testing.assert_array_equal(~np.isnan(left[0]), cold)
    assert held.outcomes.item.tolist() == [4, 5]
    assert held.outcomes.wanted.tolist() == [False, True]


def test_users_with_too_few_warm_events_or_no_wanted_cold_item_are_dropped(make_histories) -> None:
    histories = make_histories([[0, 1, 3], [0, 3], [0, 1, 2]])
    cold = np.array([False, False, False, True])
    everyone, x = np.arange(3), no_features(histories)
    assert hold_out_items(histories, cold, everyone, x, LIKED, (0, 2), gap=2).users.tolist() == [0]
    with pytest.raises(DataError, match="none of 1 users has 2 events with warm items"):
        hold_out_items(histories, cold, np.array([2]), x, LIKED, (0, 2), gap=2)


def test_histories_without_items_keep_every_user(make_histories) -> None:
    histories = make_histories([[0, 1, 2], [1], [2, 0]])
    left = histories.without(np.array([False, True, False]))
    assert [left.item_row[left.of(u)].tolist() for u in range(3)] == [[0, 2], [], [2, 0]]
    np.testing.assert_array_equal(left.timestamp, histories.timestamp[histories.item_row != 1])


def test_popularity_by_features_is_the_mean_of_the_kind_where_little_is_penalised(tastes) -> None:
    warm = tastes.without(COLD)
    known = learn(warm, 24, LIKED, gap=0, order="random")
    base = popularity_by_features(known, KIND, penalty=1e-6)
    log = np.log(known.late + 0.5)
    means = np.array([log[(KIND[:, kind] > 0) & ~COLD].mean() for kind in range(3)])
    np.testing.assert_allclose(base * (means[2] - means[0]) / (base[20] - base[0]), means @ KIND.T, rtol=1e-4)


def test_feature_knn_is_the_sum_of_cosines_with_the_support(tastes, make_episodes) -> None:
    x = np.random.default_rng(0).standard_normal((24, 4)).astype(np.float32)
    scores = fit_feature_knn(learn(tastes, 24, LIKED), x).score(
        make_episodes([[]], support=[[2, 9]]), "liked"
    )
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(scores[0], unit @ (unit[2] + unit[9]), rtol=1e-4, atol=1e-5)


def test_feature_knn_finds_the_cold_items_of_the_users_kind(tastes) -> None:
    x, train = no_features(tastes), tastes.take(np.arange(40)).without(COLD)
    validation, test = (
        hold_out_items(tastes, COLD, users, x, LIKED, (0, 3), gap=0)
        for users in (np.arange(40, 50), np.arange(50, 60))
    )
    popularity, knn = cold_baselines(train, KIND, LIKED, validation.episodes, gap=0)
    assert np.nanmean(ndcg_at(knn.score(test.episodes[3]), test.episodes[3], 2)) > 0.9
    for shots in (0, 3):
        of_all = np.nanmean(ndcg_at(popularity.score(test.episodes[shots]), test.episodes[shots], 2))
        assert 0.3 < of_all < 0.9
    np.testing.assert_array_equal(knn.score(test.episodes[0]), popularity.score(test.episodes[0]))
