"""Writes what an artifact is and how good it is as one HTML page that opens without a network.

    firstclick report --artifact ARTIFACT [--data DATASET] [--out report.html]

From the artifact alone it tells of training, of what was learned, and the quality it was published with; with
the data set it was trained on, of data and of quality beside all baselines, by group of users and items.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.artifact import Artifact, load_artifact
from engine.config import Config, flat, to_dict
from engine.data.dataset import used_kinds
from engine.errors import DataError
from engine.evaluation.baselines.knowledge import learn
from engine.evaluation.baselines.tuning import late_popularity
from engine.evaluation.cold_items import USER_COLD
from engine.evaluation.metrics import Calibration, calibration_of_values
from engine.evaluation.model import ModelScorer
from engine.evaluation.protocol import HeldOut
from engine.evaluation.report import spelled
from engine.evaluation.results import Report
from engine.evaluation.validation import HEADLINES
from engine.learning.experiment import Experiment
from engine.recommender import Recommender
from jobs.evaluate import measure, open_experiment
from jobs.reporting.contents import Fact, Grid, Page, Section
from jobs.reporting.data_section import data_section
from jobs.reporting.drawing import save_png
from jobs.reporting.groups import found_by_part, popularity_parts, user_groups
from jobs.reporting.groups_section import items_section, users_section
from jobs.reporting.learned_section import neighbours_section, signals_section
from jobs.reporting.page import html
from jobs.reporting.quality_section import (
    calibration_section,
    quality_section,
    told_quality,
    training_section,
)

Step = Callable[[str], None]
SEVERAL = 3  # numbers of shots drawn where each is a line


@dataclass(frozen=True)
class Measured:
    """What can only be told with the data set."""

    experiment: Experiment
    held: HeldOut
    reports: Mapping[str, Report]


def report(
    artifact: Path,
    data: Path | None,
    out: Path,
    quality: Path | None = None,
    png: Path | None = None,
    on_step: Step = lambda what: None,
) -> Page:
    """Write the page, and its charts as PNG into the folder ``png``.

    Args:
        quality: ``quality.json`` of `firstclick evaluate`, or its folder: nothing is measured again.

    Raises:
        ArtifactError, DataError: artifact, data set or quality are wrong, or do not belong together.
    """
    loaded, measured = load_artifact(artifact), None
    reports = {} if quality is None else read_reports(quality, loaded.manifest["version"])
    if data is not None:
        on_step("reading the data")
        _, experiment = open_experiment(artifact, data)
        on_step("measuring quality")
        reports = reports or measure(experiment, loaded.model)
        measured = Measured(experiment, experiment.held_out(experiment.split.test), reports)
    page = compose(artifact, loaded, reports, measured, on_step)
    on_step("drawing")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html(page), encoding="utf-8")
    if png is not None:
        png.mkdir(parents=True, exist_ok=True)
        for chart in page.charts:
            save_png(chart.figure, png / f"{chart.name}.png")
    return page


def read_reports(path: Path, version: str) -> dict[str, Report]:
    """What `firstclick evaluate --out` wrote, by scenario.

    Raises:
        DataError: it cannot be read, or is of another artifact.
    """
    path = path / "quality.json" if path.is_dir() else path
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fix = "Give the folder that `firstclick evaluate --out` wrote."
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), fix=fix) from None
    except ValueError as error:
        raise DataError(f"is not JSON: {error}", where=str(path)) from None
    reports = [Report.from_json(one) for one in raw]
    measured = {one.context.get("artifact") for one in reports} - {None, version}
    if measured:
        raise DataError(
            f"quality was measured of artifact {measured.pop()}, not of {version}",
            where=str(path),
            fix="Evaluate again, or leave --quality out.",
        )
    return {one.context.get("scenario", USER_COLD): one for one in reports}


def compose(
    folder: Path, artifact: Artifact, reports: Mapping[str, Report], measured: Measured | None, on_step: Step
) -> Page:
    """The page's sections, those that can be told."""
    manifest, model = artifact.manifest, artifact.model
    headline = HEADLINES[manifest["config"]["objective"]]
    recommender = Recommender(artifact)
    titles = recommender.titles or recommender.item_ids
    sections: list[Section] = []
    relevant = artifact.signals.relevant(**manifest["config"]["signals"])
    known_N = model.items.base_N.numpy().astype(np.float64)
    if measured is not None:
        experiment = measured.experiment
        sections.append(data_section(experiment.dataset, experiment.relevant, experiment.shots))
        items = experiment.dataset.histories.item_row
        known_N = np.bincount(items, minlength=len(titles)).astype(np.float64)
    sections.append(training_section(artifact.history, manifest["quality"]["validation"]["measure"]))
    tested = quality_section(reports, headline) if reports else None
    sections.append(tested or told_quality(manifest["quality"]["test"], headline))
    on_step("comparing predictions with what came true")
    sections.append(calibration_section(_calibration(reports, measured, model), model.objective.predicts))
    if measured is not None:
        on_step("counting by group")
        sections += _group_sections(measured, artifact, headline)
    usual = artifact.default_signal
    sections.append(signals_section(model, artifact.signals.names, relevant, usual))
    sections.append(neighbours_section(model, titles, known_N))
    sections += [_configuration(manifest), _fingerprints(manifest)]
    made = f"{manifest['created_by']}, {manifest['created_at'][:10]}, artifact version {manifest['version']}"
    return Page(f"Report on {folder.resolve().name}", made, _facts(manifest, headline), sections)


def _calibration(
    reports: Mapping[str, Report], measured: Measured | None, model: Any
) -> dict[int, Calibration]:
    """By shots: of chances from the report, of numbers by asking the model once more."""
    scorer = ModelScorer(model)
    if model.objective.predicts == "probability" and USER_COLD in reports:
        tables = reports[USER_COLD].calibration.get(scorer.name, {})
        return {k: tables[k] for k in _several(list(tables))}
    if model.objective.predicts != "value" or measured is None:
        return {}
    value_R = measured.experiment.dataset.signals.value
    tables = {}
    for shots in _several(list(measured.held.episodes)):
        parts = [(scorer.score(p.episodes[shots]), p.outcomes) for p in measured.held.parts()]
        predicted = np.concatenate([scores[o.user, o.item] for scores, o in parts])
        given = np.concatenate([value_R[o.signal] for _, o in parts])
        tables[shots] = calibration_of_values(predicted, given)
    return tables


def _several(shots: Sequence[int]) -> list[int]:
    """The first, a middle one and the last."""
    return (
        sorted({shots[round(i * (len(shots) - 1) / (SEVERAL - 1))] for i in range(SEVERAL)}) if shots else []
    )


def _group_sections(measured: Measured, artifact: Artifact, headline: str) -> list[Section]:
    experiment, held = measured.experiment, measured.held
    dataset, train = experiment.dataset, experiment.dataset.histories.take(experiment.split.train)
    sections = []
    tested = measured.reports.get(USER_COLD)
    if tested is not None and tested.n_users == len(held.users):
        kinds = used_kinds(dataset.user_kinds)
        people = dataset.users.take(held.users)
        groups = user_groups(people, kinds, dataset.histories.lengths[held.users])
        sections.append(users_section(tested, groups, headline))
    part_N, names = popularity_parts(np.bincount(train.item_row, minlength=dataset.n_items))
    gap, shots = experiment.config.episodes.query_after, list(held.episodes)
    knowledge = learn(train, dataset.n_items, experiment.relevant, gap, experiment.order, max(shots))
    scorer = ModelScorer(artifact.model)
    found = {
        f"{scorer.name}, {k} events": found_by_part(scorer, held, k, part_N, len(names))
        for k in reversed(_several(shots))
    }
    rival = late_popularity(knowledge)
    found[rival.name] = found_by_part(rival, held, max(shots), part_N, len(names))
    return [*sections, items_section(found, names, len(held.users))]


def _facts(manifest: Mapping[str, Any], headline: str) -> list[Fact]:
    counts, test = manifest["dataset"]["counts"], manifest["quality"]["test"]
    facts = [
        Fact(f"{counts['users']:,}", "users"),
        Fact(f"{counts['items']:,}", "items"),
        Fact(f"{counts['events']:,}", "events"),
        Fact(manifest["config"]["objective"], "objective"),
    ]
    by_shots = (test or {}).get("firstclick", {})
    for shots in _several([int(k) for k in by_shots]):
        facts.append(Fact(f"{by_shots[str(shots)]:.3f}", f"{spelled(headline)} after {shots} events"))
    return facts


def _configuration(manifest: Mapping[str, Any]) -> Section:
    usual = flat(to_dict(Config()))
    rows = [
        (key, str(value), "" if usual.get(key) == value else f"default: {usual.get(key)}")
        for key, value in flat(manifest["config"]).items()
    ]
    changed = [row for row in rows if row[2]]
    grids = [
        Grid(("key", "value", ""), changed, "What differs from the defaults.", numeric=False),
        Grid(("key", "value", ""), rows, "All options", numeric=False, folded=True),
    ]
    text = f"Order of events: {manifest['order']}."
    return Section("configuration", "Configuration", text, (), grids if changed else grids[1:])


def _fingerprints(manifest: Mapping[str, Any]) -> Section:
    rows = [("data set", manifest["dataset"]["fingerprint"])]
    rows += [(f"artifact: {name}", digest) for name, digest in manifest["files"].items()]
    grid = Grid(("of", "sha256"), rows, "", numeric=False)
    return Section("fingerprints", "Fingerprints", "", (), [grid])
