from __future__ import annotations

from math import log2, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import ndcg_score, roc_auc_score

from engine.evaluation import metrics as m
from engine.evaluation.protocol import Outcomes

DOWN = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]] * 3, np.float32)  # every user sees 0, 1, 2, 3, 4
matrices = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 12)),
    elements=st.sampled_from([0.0, 0.5, 1.0, -2.0, nan, np.inf, -np.inf]),
)


def outcomes_of(
    user: list[int], item: list[int], wanted: list[int], signal: list[int] | None = None
) -> Outcomes:
    as_int = [np.array(v, np.int64) for v in (user, item, signal or [0] * len(user))]
    return Outcomes(*as_int, np.array(wanted, bool))


def test_rank_metrics_by_hand(make_episodes) -> None:
    episodes = make_episodes([[0, 2], [4], [1, 2, 3, 4]], barred=[[], [0, 1], [0]])
    # the slates of three:      0 1 2     2 3 4     1 2 3
    ideal_2, ideal_3 = 1 + 1 / log2(3), 1 + 1 / log2(3) + 1 / 2
    ndcg = [(1 + 1 / 2) / ideal_2, (1 / 2) / 1, ideal_3 / ideal_3]
    np.testing.assert_allclose(m.ndcg_at(DOWN, episodes, 3), ndcg)
    np.testing.assert_allclose(m.recall_at(DOWN, episodes, 3), [2 / 2, 1 / 1, 3 / 3])
    np.testing.assert_allclose(m.recall_at(DOWN, episodes, 2), [1 / 2, 0 / 1, 2 / 2])
    np.testing.assert_allclose(m.hit_rate_at(DOWN, episodes, 2), [1, 0, 1])


def test_a_user_without_a_query_has_no_value(make_episodes) -> None:
    episodes = make_episodes([[], [0], [0]])
    for measure in (m.ndcg_at, m.recall_at, m.hit_rate_at, m.auc_over_catalogue):
        values = measure(DOWN, episodes)
        assert np.isnan(values[0])
        assert values[1:].tolist() == [1, 1]


def test_nan_is_never_recommended(make_episodes) -> None:
    scores = np.array([[nan, 1, nan, nan, 0]], np.float32)
    assert m.hit_rate_at(scores, make_episodes([[0, 2, 3]]), 5).tolist() == [0]
    assert m.recall_at(scores, make_episodes([[0, 1]]), 5).tolist() == [1 / 2]


@given(matrices, st.integers(1, 12), st.data())
def test_rank_metrics_stay_in_range_and_a_perfect_order_reaches_one(
    make_episodes, scores: np.ndarray, k: int, data: st.DataObject
) -> None:
    items = st.sets(st.integers(0, scores.shape[1] - 1), min_size=1)
    query = [sorted(data.draw(items)) for _ in scores]
    episodes = make_episodes(query)
    perfect = m.wanted_items(episodes, scores.shape[1]).astype(np.float32)
    for measure in (m.ndcg_at, m.recall_at, m.hit_rate_at):
        values = measure(scores, episodes, k)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        np.testing.assert_allclose(measure(perfect, episodes, k), 1)


def test_ndcg_agrees_with_scikit_learn(make_episodes) -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((20, 30)).astype(np.float32)
    wanted = rng.random((20, 30)) < 0.2
    wanted[:, 0] = True
    episodes = make_episodes([np.flatnonzero(row).tolist() for row in wanted])
    expected = [ndcg_score([w], [s], k=10) for w, s in zip(wanted, scores, strict=True)]
    np.testing.assert_allclose(m.ndcg_at(scores, episodes, 10), expected)


def test_auc_by_hand() -> None:
    scores = np.array([[3, 1, 2, 2], [1, 1, 1, nan], [1, 2, 3, 4]], np.float32)
    outcomes = outcomes_of([0, 0, 0, 0, 1, 1, 2], [0, 1, 2, 3, 0, 3, 1], [1, 0, 1, 0, 0, 1, 1])
    # user 0: 3 beats 1 and 2; 2 beats 1 and ties with 2. user 1: NaN stands below. user 2: no unwanted item
    np.testing.assert_allclose(m.auc_among_query(scores, outcomes), [(2 + 1 + 1 / 2) / 4, 0 / 1, nan])


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_both_aucs_agree_with_scikit_learn(make_episodes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (3, 8)).astype(np.float32)
    wanted = rng.random((3, 8)) < 0.5
    wanted[:, :3] = [True, False, False]
    user, item = np.nonzero(np.ones_like(wanted))
    among = m.auc_among_query(scores, Outcomes(user, item, user, wanted[user, item]))
    np.testing.assert_allclose(among, [roc_auc_score(w, s) for w, s in zip(wanted, scores, strict=True)])
    episodes = make_episodes([np.flatnonzero(row).tolist() for row in wanted], barred=[[1]] * 3)
    rest = np.delete(np.arange(8), 1)
    over = [roc_auc_score(w[rest], s[rest]) for w, s in zip(wanted, scores, strict=True)]
    np.testing.assert_allclose(m.auc_over_catalogue(scores, episodes), over)


def test_errors_of_predicted_values_by_hand() -> None:
    scores = np.array([[3.5, 2.0, nan], [1.0, 1.0, 1.0]], np.float32)
    outcomes = outcomes_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 0, 0, 0], signal=[2, 0, 0, 1])
    value = np.array([1.0, nan, 4.0])  # signal 1 carries no number
    np.testing.assert_allclose(m.rmse(scores, outcomes, value), [sqrt((0.25 + 1) / 2), nan])
    np.testing.assert_allclose(m.mae(scores, outcomes, value), [(0.5 + 1) / 2, nan])


def test_calibration_by_hand() -> None:
    probability = np.array([0.1, 0.2, 0.9, 1.0, nan])
    table = m.calibration(probability, np.array([False, True, True, True, False]), bins=2)
    np.testing.assert_allclose(table.predicted, [0.15, 0.95])
    np.testing.assert_allclose(table.observed, [1 / 2, 1])
    assert table.count.tolist() == [2, 2]
    assert table.error == pytest.approx((2 * 0.35 + 2 * 0.05) / 4)


def test_calibration_of_frequencies_is_perfect_and_of_nothing_unknown() -> None:
    happened = np.array([True, False, False, False])
    assert m.calibration(np.full(4, 1 / 4), happened).error == 0
    assert np.isnan(m.calibration(np.array([nan]), np.array([True])).error)


def test_standard_error_by_hand() -> None:
    e = m.estimate(np.array([1.0, 2.0, 3.0, nan]))
    assert (e.mean, e.n) == (2.0, 3)
    assert e.se == pytest.approx(1 / sqrt(3))
    assert np.isnan(m.estimate(np.array([1.0])).se)
    assert np.isnan(m.estimate(np.array([nan])).mean)


def test_pairing_removes_the_spread_between_users() -> None:
    users = np.array([0.0, 0.5, 1.0])
    difference = m.paired_difference(users + np.array([0.01, 0.02, 0.03]), users)
    assert difference.mean == pytest.approx(0.02)
    assert difference.se == pytest.approx(0.01 / sqrt(3))
    assert difference.se < m.estimate(users).se
