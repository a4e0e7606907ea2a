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
from engine.data.sources.movielens import movielens_100k
from engine.evaluation.plot import plot
from engine.evaluation.report import lead, markdown_table, rows
from engine.evaluation.results import Report
from engine.learning.setup import set_up
from jobs.evaluate import compare
from jobs.prepare import prepare
from jobs.pretrain import pretrain

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)
FLOORS = {
    "time": (0.362, 0.369, 0.384, 0.382, 0.380, 0.418),
    "random": (0.386, 0.435, 0.475, 0.495, 0.526, 0.550),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = movielens_100k()
    folder = tmp_path_factory.mktemp("ml-100k") / "data"
    prepare(interactions=tables.interactions, items=tables.items, users=tables.users, out=folder)
    return folder


def run(data: Path, order: str, seed: int) -> Report:
    config = load_config(None, ["episodes.query_after=20", f"episodes.order={order}", f"seed={seed}"])
    artifact = data.parent / f"{order}-{seed}"
    pretrain(data, artifact, config, data.parent / "runs")
    return compare(set_up(Dataset.load(data), config), load_artifact(artifact).model)


@pytest.mark.parametrize("order", ["random", "time"])
def test_quality(data: Path, order: str) -> None:
    reports = [run(data, order, seed) for seed in SEEDS]
    print(f"\n{order} order\n\n{markdown_table(reports)}")
    ours = next(row for row in rows(reports, "ndcg@10") if row.is_reference)
    means = [round(cell.mean, 3) for cell in ours.cells]
    assert all(mean >= floor for mean, floor in zip(means, FLOORS[order], strict=True)), means
    if order == "random":
        ahead = lead(reports, "ndcg@10")
        assert all(ahead[shots].mean > 0 for shots in (1, 2, 3, 4))  # 1, 3, 5 and 10 events
        assert all(ahead[shots].mean > -ahead[shots].se for shots in (0, 5))  # 0 and 20 events
    plot(reports, RESULTS / f"quality-{order}.png")
