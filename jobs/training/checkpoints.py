"""Checkpoints: what a training run resumes from. Knows nothing of Ray."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.config import Config, flat, to_dict
from engine.errors import ConfigError, TrainingError
from engine.learning.experiment import Experiment
from engine.learning.training import Training
from engine.learning.workers import rank
from jobs.training.spread_rows import load_rows, save_rows
from jobs.training.storage import Folder
from jobs.training.tensors import read_tensors, write_tensors

STATE = "training.pt"
Identity = Mapping[str, str]


def save(training: Training, identity: Identity, folder: Folder) -> None:
    """Write the state of a run and what it is a run of; a crash meanwhile leaves the state before.

    Worker 0 writes it; where the catalogue is spread over several, each its rows beside it.
    """
    state = save_rows(training.state_dict(), folder)
    if rank() == 0:
        write_tensors({**state, "identity": dict(identity)}, folder, STATE)


def resume(training: Training, identity: Identity, folder: Folder) -> bool:
    """Go on from the state in ``folder``; is there one?

    Raises:
        TrainingError: the file is broken, or of another version of the program.
        ConfigError: it is of another data set or configuration, or has gone further than is asked for.
    """
    state = read_state(folder)
    if state is None:
        return False
    where, passes = f"{folder.path}/{STATE}", training.schedule.passes
    differences = _differences(state["identity"], identity)
    if state["passes_done"] > passes:
        differences.append(f"{state['passes_done']} passes done, not {passes}")
    if differences:
        raise ConfigError(
            f"the run of this name is another one: {differences[0]}",
            where=where,
            fix="Give another --run.",
        )
    try:
        training.load_state_dict(load_rows(state, folder))
    except (KeyError, RuntimeError, ValueError) as error:  # other parameters, or of other shapes
        raise TrainingError(
            "the checkpoint was written by another version of firstclick",
            where=where,
            fix="Give another --run to start anew.",
        ) from error
    return True


def adopt(source: Folder, identity: Identity, folder: Folder, but: Sequence[str]) -> None:
    """Take over into ``folder`` the state that another run left in ``source``.

    Args:
        but: the options in which the two runs may differ.

    Raises:
        TrainingError: the file is broken.
        ConfigError: the runs differ in more.
    """
    state = read_state(source)
    assert state is not None, "what others may go on from has a state"
    more = _differences(state["identity"] | {key: identity[key] for key in but}, identity)
    if more:
        raise ConfigError(f"the run to go on from is another one: {more[0]}", where=source.path)
    write_tensors({**state, "identity": dict(identity)}, folder, STATE)


def newest(run: Path) -> Folder:
    """Where the last state of a run is: its folder, or the one of Ray Train's last checkpoint of it."""
    states = list(run.rglob(STATE))
    return Folder.at(max(states, key=lambda path: path.stat().st_mtime_ns).parent if states else run)


def standing(run: Path) -> dict[str, Any]:
    """How far a run is: some of a ``PassReport``."""
    state = read_state(newest(run))
    assert state is not None
    done, best = state["passes_done"], state["best_quality"]
    return {"passes_done": done, "quality": best, "best_quality": best}


def identity_of(experiment: Experiment) -> Identity:
    """What makes a run what it is: the data set and all options but where it runs and how long."""
    options = plain_options(experiment.config)
    for key in ("outer.passes", "outer.patience"):
        del options[key]
    return {"the data set": experiment.dataset.manifest["fingerprint"], **options}


def plain_options(config: Config) -> dict[str, str]:
    """``section.key`` -> value as JSON, without the section ``train``: it changes nothing in the result."""
    options = flat(to_dict(config))
    return {key: json.dumps(value) for key, value in options.items() if not key.startswith("train.")}


def read_state(folder: Folder) -> dict[str, Any] | None:
    """The state as it was saved; None where there is none. Raises TrainingError if it is broken."""
    try:
        return read_tensors(folder, STATE)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise TrainingError(
            "the checkpoint cannot be read",
            where=f"{folder.path}/{STATE}",
            fix="Give another --run to start anew.",
        ) from error


def naming_the_last_good(error: TrainingError, saved: str | None) -> TrainingError:
    """The same error, saying what is left of the run."""
    left = f"the last good checkpoint is {saved}" if saved else "there is no checkpoint yet"
    return TrainingError(error.what, where=f"{error.where}; {left}", fix=error.fix)


def _differences(theirs: Identity, ours: Identity) -> list[str]:
    return [
        f"{key} is {theirs.get(key)}, not {ours.get(key)}"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    ]
