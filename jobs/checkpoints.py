"""Checkpoints: what a training run resumes from. Files only; knows nothing of Ray.

Loading uses torch's restricted unpickler (tensors and plain containers), so a checkpoint runs no code.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from engine.config import Config, flat, to_dict
from engine.errors import ConfigError, TrainingError
from engine.learning.setup import Experiment
from engine.learning.training import Training
from engine.learning.workers import rank
from jobs.spread_rows import load_rows, save_rows

STATE = "training.pt"


def save(training: Training, experiment: Experiment, folder: Path) -> None:
    """Write the state of a run and what it is a run of; a crash meanwhile leaves the state before.

    Worker 0 writes it; the others their rows of the catalogue alone, where it is spread.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = save_rows(training.state_dict(), folder)
    if rank():
        return
    scratch = folder / f".{STATE}"
    torch.save({**state, "identity": identity(experiment)}, scratch)
    os.replace(scratch, folder / STATE)


def resume(training: Training, experiment: Experiment, folder: Path) -> None:
    """Go on from the state in ``folder``, where there is one.

    Raises:
        TrainingError: the file is broken, or of another version of the program.
        ConfigError: it is of another data set or configuration, or has gone further than is asked for.
    """
    path = folder / STATE
    if not path.is_file():
        return
    state = _read(path)
    differences = _differences(state["identity"], identity(experiment))
    if state["passes_done"] > experiment.config.outer.passes:
        differences.append(f"{state['passes_done']} passes done, not {experiment.config.outer.passes}")
    if differences:
        raise ConfigError(
            f"the run of this name is another one: {differences[0]}",
            where=str(path),
            fix="Give another --run.",
        )
    try:
        training.load_state_dict(load_rows(state, folder))
    except (KeyError, RuntimeError, ValueError) as error:  # other parameters, or of other shapes
        raise TrainingError(
            "the checkpoint was written by another version of firstclick",
            where=str(path),
            fix="Give another --run to start anew.",
        ) from error


def adopt(source: Path, experiment: Experiment, folder: Path, but: Sequence[str]) -> None:
    """Take over into ``folder`` the state that another run left in ``source``.

    Args:
        but: the options in which the two runs may differ.

    Raises:
        TrainingError: the file is broken.
        ConfigError: the runs differ in more.
    """
    state, ours = _read(source / STATE), identity(experiment)
    more = _differences(state["identity"] | {key: ours[key] for key in but}, ours)
    if more:
        raise ConfigError(f"the run to go on from is another one: {more[0]}", where=str(source))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({**state, "identity": ours}, folder / f".{STATE}")
    os.replace(folder / f".{STATE}", folder / STATE)


def standing(folder: Path) -> dict[str, Any]:
    """How far the newest checkpoint in or below ``folder`` is: some of a ``PassReport``."""
    state = _read(max(folder.rglob(STATE), key=lambda path: path.stat().st_mtime_ns))
    done, best = state["passes_done"], state["best_quality"]
    return {"passes_done": done, "quality": best, "best_quality": best}


def identity(experiment: Experiment) -> dict[str, str]:
    """What makes a run what it is: the data set and all options but where it runs and how long."""
    options = plain_options(experiment.config)
    for key in ("outer.passes", "outer.patience"):
        del options[key]
    return {"the data set": experiment.dataset.manifest["fingerprint"], **options}


def plain_options(config: Config) -> dict[str, str]:
    """``section.key`` -> value as JSON, without the section ``train``: it changes nothing in the result."""
    options = flat(to_dict(config))
    return {key: json.dumps(value) for key, value in options.items() if not key.startswith("train.")}


def _read(path: Path) -> dict[str, Any]:
    try:
        state = dict(torch.load(path, weights_only=True, map_location="cpu"))
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise TrainingError(
            "the checkpoint cannot be read", where=str(path), fix="Give another --run to start anew."
        ) from error
    return state


def _differences(theirs: dict[str, str], ours: dict[str, str]) -> list[str]:
    return [
        f"{key} is {theirs.get(key)}, not {ours.get(key)}"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    ]
