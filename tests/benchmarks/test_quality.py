"""Cold-user quality on MovieLens-100k: the protocol, seeds 0 to 2, both orders, beside tuned baselines.

    make bench    or    pytest --run-benchmarks -s tests/benchmarks/test_quality.py

Prints the tables that the README shows and writes its pictures to tests/benchmarks/results.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.artifact import load_artifact
from engine.config import load_config
from engine.data.dataset import Dataset
from engine.evaluation.plot import plot
from engine.evaluation.report import lead, markdown_table, rows
from engine.evaluation.results import Report
from engine.learning.experiment import set_up
from jobs.evaluate import compare
from jobs.pretrain import pretrain

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)
FLOORS = {
    "time": (0.374, 0.384, 0.397, 0.402, 0.410, 0.446),
    "random": (0.392, 0.440, 0.482, 0.502, 0.536, 0.560),
}


def run(movielens: Path, order: str, seed: int) -> Report:
    config = load_config(None, ["episodes.query_after=20", f"episodes.order={order}", f"seed={seed}"])
    artifact = movielens.parent / f"{order}-{seed}"
    pretrain(movielens, artifact, config, movielens.parent / "runs")
    return compare(set_up(Dataset.load(movielens), config), load_artifact(artifact).model)


@pytest.mark.parametrize("order", ["random", "time"])
def test_quality(movielens: Path, order: str) -> None:
    reports = [run(movielens, order, seed) for seed in SEEDS]
    print(f"\n{order} order\n\n{markdown_table(reports)}")
    ours = next(row for row in rows(reports, "ndcg@10") if row.is_reference)
    means = [round(cell.mean, 3) for cell in ours.cells]
    assert all(mean >= floor for mean, floor in zip(means, FLOORS[order], strict=True)), means
    if order == "random":
        ahead = lead(reports, "ndcg@10")
        assert all(ahead[shots].mean > 0 for shots in (1, 2, 3, 4))  # 1, 3, 5 and 10 events
        assert all(ahead[shots].mean > -ahead[shots].se for shots in (0, 5))  # 0 and 20 events
    plot(reports, RESULTS / f"quality-{order}.png")
