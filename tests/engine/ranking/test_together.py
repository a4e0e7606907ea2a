"""Several people's searches in one pass find what each alone finds, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Recommender
from engine.errors import RequestError
from engine.learning.objectives import Click
from engine.recommender import Asked
from tests.synthetic import synthetic_artifact

N = 9000


@pytest.fixture(scope="module", params=["ridge", "click", "no ridge", "flat"])
def recommender(request: pytest.FixtureRequest) -> Recommender:
    artifact = synthetic_artifact(N, 16, Click() if request.param == "click" else None)
    if request.param == "no ridge":
        artifact.model.ridge = None
    if request.param == "flat":  # searches read all of the catalogue
        artifact.model.ridge = None
        artifact.model.items.base_N.fill_(-5.0)
    return Recommender(artifact)


def asked(seed: int) -> Asked:
    rng = np.random.default_rng(seed)
    events = [
        {"item_id": f"i{row}", "value": float(rng.integers(1, 6))}
        for row in rng.choice(N, rng.integers(0, 30), replace=False)
    ]
    return Asked(events, k=int(rng.choice([1, 10, 150])), exclude_seen=bool(rng.random() < 0.7))


@pytest.mark.parametrize("n_users", [1, 2, 3, 16])
def test_together_as_alone(recommender: Recommender, n_users: int) -> None:
    people = [asked(seed) for seed in range(n_users)]
    alone = [recommender.recommend(a.events, k=a.k, exclude_seen=a.exclude_seen) for a in people]
    assert recommender.recommend_together(people) == alone


def test_more_than_there_is(recommender: Recommender) -> None:
    few, all_of_it = recommender.recommend_together([Asked((), k=3), Asked((), k=N + 5)])
    assert not isinstance(few, RequestError)
    assert not isinstance(all_of_it, RequestError)
    assert (len(few), len(all_of_it)) == (3, N)


def test_each_fault_is_its_own(recommender: Recommender) -> None:
    good = asked(3)
    answers = recommender.recommend_together(
        [Asked((), k=0), good, Asked([{"item_id": "i1", "event": "never heard of"}])]
    )
    assert [type(answer) is RequestError for answer in answers] == [True, False, True]
    assert answers[1] == recommender.recommend(good.events, k=good.k, exclude_seen=good.exclude_seen)
    assert recommender.recommend_together([]) == []
