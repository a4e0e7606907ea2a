"""Ways of adapting beside each other: MovieLens-100k, random order, seeds 0 to 2, nDCG@10.

    pytest --run-benchmarks -s tests/benchmarks/test_adaptation_quality.py

Each way is also judged without adaptation: its K = 0.
"""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.metrics import ndcg_at
from engine.evaluation.model import ModelScorer
from tests.benchmarks.conftest import Train

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

GRADIENT, DECISION = "inner.method=gradient", "inner.scope=decision"
WAYS = {
    "closed form": (),
    "ANIL": (GRADIENT,),
    "Meta-SGD": (GRADIENT, "inner.learn_inner_lr=true"),
    "MAML": (GRADIENT, DECISION),
    "FOMAML": (GRADIENT, DECISION, "inner.derivative=first"),
    "Reptile": (GRADIENT, "outer.rule=reptile"),
}
SHOTS = (0, 1, 3, 5, 10, 20)


def test_every_way_of_adapting_beats_none(train: Train) -> None:
    quality = {
        way: np.mean([ndcg(train, options, seed) for seed in range(3)], axis=0)
        for way, options in WAYS.items()
    }
    print(f"\n| | {' | '.join(map(str, SHOTS))} |\n|---|{'---:|' * len(SHOTS)}")
    for way, figures in quality.items():
        print(f"| {way} | {' | '.join(f'{x:.3f}' for x in figures)} |")
    for way, figures in quality.items():
        assert figures[SHOTS.index(10)] > figures[0] + 0.02, way
    for way in ("ANIL", "MAML"):
        short = 1 - quality[way] / quality["closed form"]
        print(f"{way} falls short by {' '.join(f'{100 * x:.1f} %' for x in short)}")


def ndcg(train: Train, options: tuple[str, ...], seed: int) -> list[float]:
    experiment, model = train([*options, "episodes.order=random", f"seed={seed}"], None)
    held, scorer = experiment.held_out(experiment.split.test), ModelScorer(model)
    return [float(np.nanmean(ndcg_at(scorer.score(e), e))) for e in held.episodes.values()]
