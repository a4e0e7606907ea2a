"""One cell of a benchmark: one method, fitted and measured on one split of one data set.

A plain function does the work; an outcome is a value, kept as one JSON file. Knows nothing of Ray, of
plans or of tables.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.config import Config, to_dict
from engine.data.dataset import Dataset
from engine.data.episodes import Episodes
from engine.errors import DataError, FirstclickError
from engine.evaluation.baselines import Scorer, baselines
from engine.evaluation.baselines.families import BASE_WEIGHTS, FAMILIES
from engine.evaluation.baselines.tuning import TUNING_USERS
from engine.evaluation.evaluate import evaluate
from engine.evaluation.model import NAME as MODEL
from engine.evaluation.model import ModelScorer
from engine.evaluation.peers.implicit_models import IMPLICIT_FAMILIES
from engine.evaluation.peers.maml_loop import GRID as MAML_GRID
from engine.evaluation.peers.maml_loop import NAME as MAML
from engine.evaluation.peers.maml_loop import maml_family
from engine.evaluation.results import Report
from engine.learning.experiment import Experiment, set_up
from engine.learning.setup import build_model, build_training

POPULARITIES = ("popularity", "late popularity")
TUNED = (*FAMILIES, *IMPLICIT_FAMILIES)
GRIDS = {family.name: family.grid for family in TUNED} | {MAML: MAML_GRID}
METHODS = (MODEL, *POPULARITIES, *GRIDS)
FORMAT = 1  # raise it when cells of before must be measured anew


@dataclass(frozen=True)
class Cell:
    """What is measured. Two cells with the same key give the same figures."""

    data: str  # the data set's name
    folder: Path  # where it is, prepared; every worker must be able to read it
    fingerprint: str  # of its contents
    method: str  # one of METHODS, or a variant of the model
    config: Config  # the protocol, the seed, and the model's options

    @property
    def order(self) -> str:
        return str(self.config.episodes.order)

    @property
    def seed(self) -> int:
        return self.config.seed

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that the figures depend on. A baseline does not depend on the model's options."""
        return {
            "format": FORMAT,
            "version": version("firstclick"),
            "fingerprint": self.fingerprint,
            "method": self.method,
            "settings": _settings(self.method, to_dict(self.config)),
        }

    @property
    def file_name(self) -> str:
        """Unique to the identity, and legible."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]
        parts = (self.data, self.order, self.method, f"seed{self.seed}", digest)
        return "-".join(re.sub(r"[^A-Za-z0-9]+", "_", part) for part in parts) + ".json"

    def __str__(self) -> str:
        return f"{self.data}, {self.order} order, seed {self.seed}: {self.method}"


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured, and why."""

    message: str
    details: str = ""  # a traceback, where the error is none of ours


Outcome = Report | Failure


def attempt(cell: Cell) -> tuple[Cell, Outcome]:
    """Measure a cell on one thread; whatever goes wrong with it is its outcome."""
    try:
        with one_thread():
            return cell, measure(cell)
    except FirstclickError as error:
        return cell, Failure(str(error))
    except Exception as error:
        return cell, Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def measure(cell: Cell) -> Report:
    """Fit the cell's method on training users, tune it on validation users, measure it on test users.

    Raises:
        FirstclickError: data, configuration or training is wrong.
    """
    dataset = Dataset.load(cell.folder)
    if dataset.manifest["fingerprint"] != cell.fingerprint:
        raise DataError("the data set is not the one planned for", str(cell.folder), "Run it again.")
    experiment = set_up(dataset, cell.config)
    started = time.perf_counter()
    scorer = fit(cell.method, experiment)
    fitted = time.perf_counter()
    held_out = experiment.held_out(experiment.split.test)
    report = evaluate([scorer], held_out)
    context = {
        "data": cell.data,
        "order": cell.order,
        "seed": cell.seed,
        "fit_s": round(fitted - started, 2),
        "measure_s": round(time.perf_counter() - fitted, 2),
        "users": [dataset.user_ids[row] for row in held_out.users],
        "cell": cell.identity,
    }
    return Report(report.methods, report.metrics, report.shots, report.values, report.reference, context)


def fit(method: str, experiment: Experiment) -> Scorer:
    """The method, trained and tuned; anything that is no baseline's name is the model under that name."""
    train = experiment.split.train
    histories, user_x = experiment.dataset.histories.take(train), experiment.user_x[train]
    families = (*TUNED, maml_family(histories, user_x, experiment.rules))
    chosen = [family for family in families if family.name == method]
    if not chosen and method not in POPULARITIES:
        return Named(method, _trained(experiment))
    found = baselines(
        histories,
        len(experiment.item_x),
        experiment.relevant,
        experiment.held_out(experiment.split.validation).episodes,
        experiment.config.episodes.query_after,
        experiment.order,
        chosen,
    )
    return next(scorer for scorer in found if scorer.name == method)


@dataclass(frozen=True)
class Named:
    """A scorer under another name."""

    name: str
    scorer: Scorer

    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        return self.scorer.score(episodes)


def save_report(report: Report, path: Path) -> None:
    """Write a cell's figures, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(report.to_json()), encoding="utf-8")
    os.replace(scratch, path)


def load_report(path: Path) -> Report | None:
    """A cell's figures, or None where there are none that can be read."""
    try:
        return Report.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, DataError):
        return None


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the numerical libraries to one thread: a cell is given one CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def _trained(experiment: Experiment) -> Scorer:
    training = build_training(experiment, build_model(experiment))
    for _ in training.run():
        pass
    return ModelScorer(training.best_model())


def _settings(method: str, config: Any) -> dict[str, Any]:
    if method not in METHODS or method == MODEL:
        return {section: values for section, values in config.items() if section != "train"}
    return {
        **{section: config[section] for section in ("seed", "signals", "episodes", "evaluation")},
        "validation_share": config["outer"]["validation_share"],
        "grid": {name: list(values) for name, values in GRIDS.get(method, {}).items()},
        "base_weights": list(BASE_WEIGHTS),
        "tuning_users": TUNING_USERS,
    }
