"""A fifth of the support replaced by random items: what is lost? MovieLens-100k, random order, seeds 0 to 2,
tune_configs/noisy.toml.

pytest --run-benchmarks -s tests/benchmarks/test_noise.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.evaluation.baselines import baselines
from engine.evaluation.baselines.scorer import Scorer
from engine.evaluation.corrupt import corrupted
from engine.evaluation.metrics import ndcg_at
from engine.evaluation.model import ModelScorer
from engine.evaluation.protocol import HeldOut
from engine.learning.experiment import Experiment
from tests.benchmarks.conftest import Train

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

CONFIG = Path(__file__).parents[2] / "tune_configs" / "noisy.toml"
SHARE, DRAWS = 0.2, 20
RIVALS = ("item-kNN", "iALS fold-in")


def test_noise_costs_less_than_it_costs_the_baselines(train: Train) -> None:
    clean: dict[str, list[np.ndarray]] = {}
    noisy: dict[str, list[np.ndarray]] = {}
    for seed in range(3):
        experiment, model = train(["episodes.order=random", f"seed={seed}"], CONFIG)
        held = experiment.held_out(experiment.split.test)
        n_items = len(experiment.item_x)
        for scorer in [ModelScorer(model), *rivals(experiment)]:
            clean.setdefault(scorer.name, []).append(ndcg(scorer, held))
            draws = [ndcg(scorer, corrupted(held, SHARE, n_items, draw)) for draw in range(DRAWS)]
            noisy.setdefault(scorer.name, []).append(np.mean(draws, axis=0))
    lost, share = {}, {}
    for name in clean:
        before, after = np.mean(clean[name], axis=0), np.mean(noisy[name], axis=0)
        lost[name], share[name] = (before - after)[1:], (1 - after / before)[1:]
        print(
            f"{name}: clean {before.round(3)}, noisy {after.round(3)}, lost {lost[name].round(4)}, "
            f"share lost {share[name].round(4)}"
        )
    for rival in RIVALS:
        assert (lost["firstclick"] < lost[rival]).all()
        assert (share["firstclick"] < share[rival]).all()


def rivals(experiment: Experiment) -> list[Scorer]:
    found = baselines(
        experiment.dataset.histories.take(experiment.split.train),
        len(experiment.item_x),
        experiment.relevant,
        experiment.held_out(experiment.split.validation).episodes,
        experiment.config.episodes.query_after,
        experiment.order,
    )
    return [scorer for scorer in found if scorer.name in RIVALS]


def ndcg(scorer: Scorer, held: HeldOut) -> np.ndarray:
    return np.array([np.nanmean(ndcg_at(scorer.score(e), e)) for e in held.episodes.values()])
