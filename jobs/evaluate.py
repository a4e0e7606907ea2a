"""Measures an artifact on the users, and the items, its training never saw, beside tuned baselines.

python -m jobs.evaluate --artifact ARTIFACT --data DATASET [--out FOLDER]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engine.artifact import Artifact, load_artifact
from engine.config import parse_config
from engine.data.dataset import Dataset
from engine.errors import DataError
from engine.evaluation.baselines import baselines
from engine.evaluation.cold_items import USER_COLD
from engine.evaluation.panels import plot_panels
from engine.evaluation.plot import plot
from engine.evaluation.results import Report
from engine.learning.experiment import Experiment, set_up
from engine.learning.meta import MetaModel
from jobs.commands.evaluate import evaluate_command
from jobs.evaluate_cold import compare_cold
from jobs.judge import judge
from jobs.terminal import console, run_command


def evaluate(artifact: Path, data: Path) -> dict[str, Report]:
    """Every method by scenario: "user-cold"; also "item-cold" and "both-cold" if training held items out.

    Raises:
        ArtifactError, DataError: one of the two is wrong, or they do not belong together.
    """
    loaded, experiment = open_experiment(artifact, data)
    version = loaded.manifest["version"]
    reports = measure(experiment, loaded.model)
    return {name: replace(r, context=r.context | {"artifact": version}) for name, r in reports.items()}


def open_experiment(artifact: Path, data: Path) -> tuple[Artifact, Experiment]:
    """An artifact and the experiment it came from.

    Raises:
        ArtifactError, DataError: one of the two is wrong, or the artifact was trained on other data, so
            that nobody knows which users it has not seen.
    """
    loaded, dataset = load_artifact(artifact), Dataset.load(data)
    if loaded.manifest["dataset"]["fingerprint"] != dataset.manifest["fingerprint"]:
        raise DataError(
            "the artifact was trained on another data set, so which users it has not seen is unknown",
            where=f"{artifact} and {data}",
            fix="Give the data set it was trained on, or pretrain on this one.",
        )
    config = parse_config(loaded.manifest["config"], where=f"{artifact}, written by another version")
    return loaded, set_up(dataset, config)


def measure(experiment: Experiment, model: MetaModel) -> dict[str, Report]:
    """Every scenario of `evaluate`."""
    reports = {USER_COLD: compare(experiment, model)}
    if experiment.cold_N.any():
        with console.status("measuring cold items"):
            reports |= compare_cold(experiment, model)
    return reports


def compare(experiment: Experiment, model: MetaModel) -> Report:
    """The model beside the baselines, which are tuned on the validation users."""
    config, split = experiment.config, experiment.split
    with console.status("tuning baselines") as status:
        rivals = baselines(
            experiment.dataset.histories.take(split.train),
            len(experiment.item_x),
            experiment.relevant,
            experiment.held_out(split.validation).episodes,
            config.episodes.query_after,
            experiment.order,
            on_step=lambda name: status.update(f"tuning {name}"),
        )
        status.update("measuring")
        return judge(experiment, model, rivals, experiment.held_out(split.test))


def save_reports(panels: Mapping[str, Sequence[Report]], out: Path, metric: str = "ndcg@10") -> Path:
    """Write ``quality.json``, every user's figures, and ``quality.png``; returns the latter's path.

    Args:
        panels: reports of splits that belong together, by the title of their panel.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps([report.to_json() for reports in panels.values() for report in reports])
    (out / "quality.json").write_text(text, encoding="utf-8")
    path = out / "quality.png"
    if len(panels) == 1:
        return plot(next(iter(panels.values())), path, metric)
    return plot_panels(panels, path, metric)


def main() -> None:
    run_command(evaluate_command)


if __name__ == "__main__":
    main()
