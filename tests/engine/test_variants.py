"""Every way of adapting and every objective: trained, saved, loaded, asked and explained alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import Recommender
from engine.config import load_config
from jobs.pretrain import pretrain
from serve_apps.people import History
from serve_apps.requests import RecommendRequest
from serve_apps.served_model import ServedModel
from tests.small import SMALL

GRADIENT = ("inner.method=gradient", "inner.inner_lr=0.03", "inner.prior_precision=2")
RATING = ("objective=rating", "outer.table_lr=0.001", "outer.table_decay=1000")
VARIANTS = {
    "ANIL": GRADIENT,
    "FOMAML": (*GRADIENT, "inner.scope=decision", "inner.hidden=8", "inner.derivative=first"),
    "MAML": (*GRADIENT, "inner.scope=decision", "inner.hidden=8"),
    "Meta-SGD": (*GRADIENT, "inner.learn_inner_lr=true"),
    "Reptile": (*GRADIENT, "outer.rule=reptile", "outer.outer_lr=0.01"),
    "click": ("objective=click",),
    "click by descent": (*GRADIENT, "objective=click"),
    "click, doubting": ("objective=click", "inner.robust=true", "episodes.event_noise=0.1"),
    "ranking, doubting": ("inner.robust=true",),
    "rating": RATING,
    "rating, doubting": (*RATING, "inner.robust=true"),
    "rating by descent": (*GRADIENT, *RATING),
}
LIKED = [{"item_id": f"i{item}", "value": 5} for item in (0, 10, 24)]


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rec(variant: str, checkerboard_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    folder = tmp_path_factory.mktemp("variant")
    pretrain(checkerboard_data, folder / "a", load_config(None, (*SMALL, *VARIANTS[variant])), folder / "r")
    return Recommender.load(folder / "a")


def test_likes_of_one_kind_bring_that_kind(rec: Recommender) -> None:
    slate = rec.recommend(LIKED, k=10)
    assert {int(item_id[1:]) % 2 for item_id in slate.item_ids} == {0}


def test_a_batch_equals_single_calls(rec: Recommender) -> None:
    events = [[], LIKED, LIKED[:1]]
    for row, own in zip(rec.score_batch(events), events, strict=True):
        np.testing.assert_allclose(row, rec.score(own), rtol=1e-4, atol=1e-4)


def test_reasons_are_what_refitting_gives(rec: Recommender) -> None:
    slate = rec.recommend(LIKED, k=3, explain=True)
    without = dict(zip(rec.item_ids, rec.score(LIKED[1:]), strict=True))
    for item in slate:
        reason = next(because for because in item.because if because.item_id == "i0")
        assert reason.score_change == pytest.approx(item.score - without[item.item_id], rel=1e-3, abs=1e-3)


def test_predictions_are_what_the_objective_says(rec: Recommender, variant: str) -> None:
    wanted, unwanted = rec.recommend(LIKED, k=1), rec.recommend(LIKED, k=1, candidates=["i1", "i3", "i5"])
    high, low = wanted.items[0].prediction, unwanted.items[0].prediction
    if variant.startswith("click"):
        assert 0 < low < 0.5 * high < 0.5
    elif variant.startswith("rating"):
        assert 1 <= low < high <= 5
    else:
        assert high is None


def test_what_is_served_carries_the_prediction(rec: Recommender) -> None:
    answer = ServedModel(rec).recommend(RecommendRequest(k=1), History([], []))
    assert answer.items[0].prediction == rec.recommend([], k=1).items[0].prediction
