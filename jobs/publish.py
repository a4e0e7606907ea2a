"""Turns the best model of a training run into an artifact, with its quality and its card.

Knows nothing of how the run was distributed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine.artifact import Artifact, save_artifact
from engine.config import flat, to_dict
from engine.errors import DataError
from engine.evaluation.baselines.item_item import fit_item_knn
from engine.evaluation.baselines.knowledge import Knowledge, learn
from engine.evaluation.baselines.tuning import late_popularity, popularity
from engine.evaluation.report import markdown_table, spelled
from engine.evaluation.results import Report
from engine.evaluation.validation import HEADLINES, MEASURES
from engine.learning.experiment import Experiment
from engine.learning.meta import MetaModel
from engine.learning.training import PassReport
from engine.ranking.neighbours import nearest
from jobs.judge import judge


def publish(
    experiment: Experiment,
    model: MetaModel,
    best_quality: float,
    out: Path,
    history: Sequence[PassReport] = (),
) -> dict[str, Any]:
    """Write the artifact folder ``out`` and return its manifest."""
    knowledge, objective = learn_from_training_users(experiment), experiment.config.objective
    report = test_report(experiment, model, knowledge)
    manifest = {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_by": f"firstclick {version('firstclick')}",
        "config": to_dict(experiment.config),
        "order": experiment.order,
        "dataset": {key: experiment.dataset.manifest[key] for key in ("fingerprint", "counts")},
        "users": {name: len(users) for name, users in vars(experiment.split).items()},
        "quality": {
            "validation": {"measure": MEASURES[objective], "value": abs(best_quality)},
            "test": report and means(report, HEADLINES[objective]),
        },
    }
    artifact = Artifact(
        model,
        experiment.dataset.items,
        experiment.dataset.signals,
        experiment.default_signal,
        experiment.item_encoder,
        experiment.user_encoder,
        manifest,
        card(manifest, report),
        tuple(history),
        nearest(fit_item_knn(knowledge).weight, knowledge.core),
    )
    return save_artifact(artifact, out)


def learn_from_training_users(experiment: Experiment) -> Knowledge:
    """What the baselines know."""
    train = experiment.dataset.histories.take(experiment.split.train)
    gap, shots = experiment.config.episodes.query_after, max(experiment.shots)
    return learn(train, len(experiment.item_x), experiment.relevant, gap, experiment.order, shots)


def test_report(experiment: Experiment, model: MetaModel, knowledge: Knowledge) -> Report | None:
    """The model beside popularity on the test users; None where there are none to judge by."""
    try:
        held = experiment.held_out(experiment.split.test)
    except DataError:
        return None
    return judge(experiment, model, [popularity(knowledge), late_popularity(knowledge)], held)


def means(report: Report, metric: str) -> dict[str, dict[str, float]]:
    """One figure by method and shots, of the methods that have it."""
    return {
        method: {str(shots): round(report.mean(method, metric, shots).mean, 4) for shots in report.shots}
        for method in report.methods
        if np.isfinite(report.mean(method, metric, report.shots[0]).mean)
    }


def card(manifest: Mapping[str, Any], report: Report | None) -> str:
    """The model card: what it was trained on, how good it is, how it was made."""
    counts, users = manifest["dataset"]["counts"], manifest["users"]
    config = "\n".join(f"| {key} | {value} |" for key, value in flat(manifest["config"]).items())
    headline = HEADLINES[manifest["config"]["objective"]]
    quality = (
        "There are no test users to judge by."
        if report is None
        else f"{spelled(headline)} of {report.n_users} users that training never saw, by the number of "
        f"their events that the model was shown. `firstclick evaluate` compares with more.\n\n"
        f"{markdown_table([report], headline, lead_name='over the best other')}"
    )
    return f"""# Model card

A firstclick prior, made {manifest["created_at"]} by {manifest["created_by"]}.

## Data

{counts["users"]:,} users, {counts["items"]:,} items ({counts["items_without_events"]:,} without events), \
{counts["events"]:,} events; fingerprint `{manifest["dataset"]["fingerprint"][:16]}`.
Users: {users["train"]:,} trained on, {users["validation"]:,} to decide when to stop, \
{users["test"]:,} to test.
No user is stored in the weights: a person's posterior is computed from the events of the request.

## Quality

{quality}

## Configuration

| key | value |
|---|---|
{config}

Order of events: {manifest["order"]}.
"""
