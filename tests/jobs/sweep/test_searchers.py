"""A search file in Ray Tune's words."""

from __future__ import annotations

import numpy as np
import pytest

from engine.config import Config, load_config
from jobs.search_space import Search
from jobs.sweep.searchers import _inside, param_space, scheduler, searcher


def search(**options: object) -> Search:
    space = {
        "outer.outer_lr": {"type": "float", "min": 1e-4, "max": 1e-2, "scale": "log"},
        "outer.user_dropout": {"type": "float", "min": 0.0, "max": 0.5},
        "items.dim": {"type": "int", "min": 1, "max": 3},
        "outer.users_per_step": {"choices": [32, 64]},
    }
    return Search.model_validate({"about": "x", "search": space, **options})


def test_every_draw_lies_in_the_space_and_is_a_configuration() -> None:
    asked = search()
    draws = [{k: d.sample() for k, d in param_space(asked).items()} for _ in range(300)]
    for sampled in draws:
        assert all(domain.holds(sampled[key]) for key, domain in asked.search.items())
        asked.config(Config(), sampled)
    assert {draw["items.dim"] for draw in draws} == {1, 2, 3}, "both ends of whole numbers are drawn"
    rates = np.log10([draw["outer.outer_lr"] for draw in draws])
    assert np.median(rates) == pytest.approx(-3, abs=0.3), "log: as often below the geometric mean as above"


def test_the_first_proposal_is_the_configuration_without_the_search() -> None:
    base = load_config(None, ["items.dim=2"])
    asked = search(searcher="tpe")
    alg = searcher(asked, base)
    alg.set_search_properties("best_quality", "max", param_space(asked))
    expected = {
        "outer.outer_lr": 0.0031,
        "outer.user_dropout": 0.43,
        "items.dim": 2,
        "outer.users_per_step": 64,
    }
    assert alg.suggest("a") == expected
    assert alg.suggest("b") != expected


def test_a_seed_gives_the_same_proposals() -> None:
    def second(seed: int) -> object:
        asked = search(searcher="tpe", seed=seed)
        alg = searcher(asked, Config())
        alg.set_search_properties("best_quality", "max", param_space(asked))
        return alg.suggest("a")

    assert second(3) == second(3) != second(4)


def test_perturbed_rates_stay_in_the_space() -> None:
    out = {"outer.outer_lr": 0.012, "outer.user_dropout": -0.1, "items.dim": 4, "outer.users_per_step": 32}
    assert _inside(search().search, out) == {
        "outer.outer_lr": 0.01,
        "outer.user_dropout": 0.0,
        "items.dim": 3,
        "outer.users_per_step": 32,
    }


def test_no_scheduler_lets_every_trial_run() -> None:
    assert scheduler(search(), Config()) is None
