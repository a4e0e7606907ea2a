"""The contracts on real data of four kinds: own columns, missing times, repeated and named events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from engine import Recommender
from engine.config import load_config
from engine.data.tables.schema import Schema
from jobs.evaluate import evaluate, save_reports
from jobs.prepare import prepare
from jobs.pretrain import pretrain
from jobs.report import report


@dataclass(frozen=True)
class Case:
    """A data set of the shared folder: which of its tables are used, and what its events look like."""

    name: str
    tables: tuple[str, ...]
    event: dict[str, object]
    columns: tuple[str, ...] = ()
    user: dict[str, object] | None = None
    options: tuple[str, ...] = field(default=())


CASES = (
    Case("ml-1m", ("items", "users", "edges"), {"value": 5}, user={"gender": "F", "age": 25}),
    Case("amazon-electronics-hin", ("items", "edges"), {"value": 5}),
    Case(
        "deskdrop",
        ("users",),
        {"event": "LIKE"},
        columns=("event=event_type",),
        user={"country": "BR"},
        options=('signals.relevant=["LIKE","BOOKMARK","COMMENT CREATED","FOLLOW"]',),
    ),
    Case(
        "lastfm-2k",
        ("items", "edges"),
        {"value": 250},
        columns=("value=listen_count",),
        user={"friend": ["275", "428"]},
    ),
)


def trained(case: Case, shared_data: Path, folder: Path) -> Path:
    """Prepare the data set, pretrain for a pass; the artifact's place."""
    source = shared_data / case.name
    prepare(
        interactions=source / "interactions.parquet",
        **{table: source / f"{table}.parquet" for table in case.tables},
        schema=Schema().with_columns(case.columns),
        out=folder / "data",
    )
    options = ["items.dim=16", "outer.passes=1", "outer.users_per_step=256", "evaluation.shots=[0,2]"]
    config = load_config(None, [*options, *case.options])
    pretrain(folder / "data", folder / "artifact", config, folder / "runs")
    return folder / "artifact"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.benchmark] if case.name == "ml-1m" else [])
        for case in CASES
    ],
)  # MovieLens-1M takes half a minute
def test_from_files_to_recommendations(case: Case, shared_data: Path, tmp_path: Path) -> None:
    artifact = trained(case, shared_data, tmp_path)
    rec = Recommender.load(artifact)
    first, second = rec.item_ids[3], rec.item_ids[8]
    slate = rec.recommend([{"item_id": first, **case.event}], case.user, k=5, explain=True)
    assert len(slate) == 5
    assert slate.shots == 1
    assert all(item.because[0].item_id == first for item in slate)
    scores = rec.score_batch([[], [{"item_id": first, **case.event}], [{"item_id": second, **case.event}]])
    assert np.isfinite(scores).all()
    assert (scores[1] != scores[2]).any()
    if case.user:
        assert (rec.score([], case.user) != scores[0]).any()
    assert len(report(artifact, None, tmp_path / "alone.html").charts) >= 4


@pytest.mark.benchmark  # tuning the baselines takes half a minute
def test_evaluated_and_reported_by_group(shared_data: Path, tmp_path: Path) -> None:
    artifact = trained(next(case for case in CASES if case.name == "deskdrop"), shared_data, tmp_path)
    reports = evaluate(artifact, tmp_path / "data")
    assert reports["user-cold"].mean("firstclick", "ndcg@10", 0).mean > 0
    save_reports({name: [one] for name, one in reports.items()}, tmp_path / "quality")
    page = report(artifact, tmp_path / "data", tmp_path / "page.html", tmp_path / "quality")
    assert {"users-device", "users-events-in-all", "items"} <= {chart.name for chart in page.charts}
