"""Items nobody has met, beside baselines that know features alone: MovieLens-1M and Amazon electronics.

    pytest --run-benchmarks -s tests/benchmarks/test_cold_items.py

A fifth of the items is held out of training, or those of MetaHIN's published split. Prints the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.artifact import load_artifact
from engine.config import load_config
from engine.data.dataset import Dataset
from engine.evaluation.cold_items import BOTH_COLD, ITEM_COLD
from engine.evaluation.report import markdown_table
from engine.evaluation.results import Report
from engine.learning.experiment import set_up
from jobs.evaluate_cold import compare_cold
from jobs.prepare import prepare
from jobs.pretrain import pretrain

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(2400)]

LIKENESS = "items.likeness_dim=128"
SHARE = "evaluation.cold_item_share=0.2"
RIVALS = ("popularity by features", "feature-kNN")


def run(source: Path, folder: Path, options: Sequence[str]) -> dict[str, Report]:
    tables = {name: path for name in ("users", "items") if (path := source / f"{name}.parquet").is_file()}
    prepare(interactions=source / "interactions.parquet", **tables, out=folder / "data")
    config = load_config(None, options)
    pretrain(folder / "data", folder / "artifact", config, folder / "runs")
    reports = compare_cold(
        set_up(Dataset.load(folder / "data"), config), load_artifact(folder / "artifact").model
    )
    for scenario, report in reports.items():
        print(f"\n{source.name}, {scenario}, {report.n_users:,} users\n\n{markdown_table([report])}")
    return reports


def check(reports: dict[str, Report]) -> None:
    """Above both rivals from one event on; for a stranger not below popularity by features but for noise."""
    for scenario in (ITEM_COLD, BOTH_COLD):
        report = reports[scenario]
        for shots in report.shots[1:]:
            leads = [report.difference("firstclick", "ndcg@10", shots, to=rival).mean for rival in RIVALS]
            assert min(leads) > 0, (scenario, shots, leads)
        stranger = report.difference("firstclick", "ndcg@10", 0, to=RIVALS[0])
        assert stranger.mean >= -stranger.se, (scenario, stranger)


def test_amazon_electronics(shared_data: Path, tmp_path: Path) -> None:
    check(run(shared_data / "amazon-electronics-hin", tmp_path, [SHARE, LIKENESS]))


@pytest.mark.parametrize("split", ["share", "published"])
def test_movielens_1m(shared_data: Path, tmp_path: Path, split: str) -> None:
    """The published split holds out most films from 1998 on."""
    source = shared_data / "ml-1m"
    cold = SHARE if split == "share" else f"evaluation.split_file={source / 'metahin_split.parquet'}"
    check(run(source, tmp_path, [cold, LIKENESS, "episodes.query_after=20", "outer.passes=20"]))
