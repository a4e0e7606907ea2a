from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from engine.data.episodes import Episodes
from engine.data.histories import Histories
from engine.errors import ConfigError
from engine.evaluation.baselines.knowledge import learn
from engine.evaluation.baselines.scorer import Constant
from engine.evaluation.baselines.tuning import popularity
from engine.evaluation.evaluate import evaluate
from engine.evaluation.metrics import (
    auc_among_query,
    calibration,
    candidate_scores,
    mae,
    ndcg_at,
    recall_at,
    rmse,
    wanted_items,
)
from engine.evaluation.protocol import HeldOut, hold_out, split_users
from tests.histories import group_by_user

LIKED = np.array([False, True])
VALUE = np.array([0.0, 1.0])


@dataclass(frozen=True)
class Noise:
    """Another order for each number of events, the same at every call."""

    name: str

    def score(self, episodes: Episodes) -> np.ndarray:
        seed = int(episodes.present.sum())
        return np.random.default_rng(seed).random((len(episodes), 24)).astype(np.float32)


@pytest.fixture(scope="module")
def held(tastes: Histories) -> HeldOut:
    return hold_out(tastes, np.arange(40, 60), np.zeros((60, 0), np.float32), LIKED, (0, 2, 4), gap=4)


def test_a_report_holds_what_the_metrics_say_of_each_user(held: HeldOut) -> None:
    flat, noise = Constant("flat", np.arange(24, dtype=np.float32)), Noise("noise")
    report = evaluate([flat, noise], held, reference="noise", k=5, context={"seed": 3})
    assert report.metrics == ("ndcg@5", "recall@5", "hit@5", "auc")
    assert report.shots == (0, 2, 4)
    assert report.context == {"seed": 3}
    for scorer in (flat, noise):
        for shots, episodes in held.episodes.items():
            scores = scorer.score(episodes)
            for metric, expected in {
                "ndcg@5": ndcg_at(scores, episodes, 5),
                "recall@5": recall_at(scores, episodes, 5),
                "auc": auc_among_query(scores, held.outcomes),
            }.items():
                np.testing.assert_array_equal(report.per_user(scorer.name, metric, shots), expected)


def test_values_and_probabilities_are_judged_as_such_and_orders_are_not(held: HeldOut) -> None:
    methods = [Noise("order"), Noise("value"), Noise("probability")]
    meaning = {"value": "value", "probability": "probability"}
    report = evaluate(methods, held, meaning=meaning, signal_value=VALUE)
    scores = methods[0].score(held.episodes[2])
    assert np.isnan(report.per_user("order", "rmse", 2)).all()
    np.testing.assert_array_equal(report.per_user("value", "rmse", 2), rmse(scores, held.outcomes, VALUE))
    np.testing.assert_array_equal(report.per_user("value", "mae", 2), mae(scores, held.outcomes, VALUE))
    candidates = candidate_scores(scores, held.episodes[2])
    known, wanted = ~np.isnan(candidates), wanted_items(held.episodes[2], scores.shape[1])
    assert list(report.calibration) == ["probability"]
    expected = calibration(candidates[known], wanted[known]).error
    assert report.calibration["probability"][2].error == pytest.approx(expected)


def test_progress_is_told_for_every_method_and_number_of_shots(held: HeldOut) -> None:
    steps = []
    evaluate([Noise("a"), Noise("b")], held, on_step=lambda name, shots: steps.append((name, shots)))
    assert steps == [(name, shots) for name in "ab" for shots in (0, 2, 4)]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "are none or share a name"),
        (["a", "a"], {}, "are none or share a name"),
        (["a"], {"reference": "b"}, "'b' is unknown"),
        (["a"], {"meaning": {"b": "value"}}, "'b' is unknown"),
        (["a"], {"meaning": {"a": "value"}}, "cannot be compared"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(held: HeldOut, names, options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate([Noise(name) for name in names], held, **options)


def test_popularity_on_movielens_1m_is_as_published(shared_data) -> None:
    """nDCG@10 .380 on the benchmark's split in random order; another shuffle moves it by under .01."""
    events = pd.read_parquet(shared_data / "ml-1m" / "interactions.parquet")
    user, _ = pd.factorize(events["user_id"].astype(int), sort=True)
    item, item_ids = pd.factorize(events["item_id"], sort=True)
    rating = events["rating"].to_numpy().astype(np.int64) - 1
    histories = group_by_user(user, item, rating, np.full(len(user), np.nan), 6040)
    relevant, split = np.arange(5) >= 3, split_users(6040, seed=0)
    held = hold_out(histories, split.test, np.zeros((6040, 0), np.float32), relevant, (0,), order="random")
    known = learn(histories.take(split.train), len(item_ids), relevant, order="random")
    report = evaluate([popularity(known)], held)
    assert len(split.test) == 1208
    assert report.mean("popularity", "ndcg@10", 0).mean == pytest.approx(0.380, abs=0.01)
