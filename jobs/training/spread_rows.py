"""The rows of a catalogue that is spread over workers, in checkpoints and at the end: a file a worker.

They may be read by another number of workers than wrote them. Knows nothing of Ray.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from engine.learning.catalogue import whole_state
from engine.learning.exchange import interleaved
from engine.learning.workers import rank, world
from jobs.training.storage import Folder
from jobs.training.tensors import read_tensors, write_tensors

CATALOGUE, ROWS = "catalogue", "rows-"


def save_rows(state: dict[str, Any], folder: Folder) -> dict[str, Any]:
    """Write this worker's rows, where there are such, and return the state without them.

    One worker alone keeps them in the state: one file is written as a whole or not at all.
    """
    if CATALOGUE not in state or world() == 1:
        return state
    best = dict(state["best"])
    rows = {**state[CATALOGUE], "best": best.pop(CATALOGUE)}
    write_tensors(rows, folder, f"{ROWS}{rank():05d}.pt")
    return {name: value for name, value in state.items() if name != CATALOGUE} | {"best": best}


def load_rows(state: dict[str, Any], folder: Folder) -> dict[str, Any]:
    """The state with this worker's rows."""
    names = folder.names(ROWS)
    if names and len(names) == world():
        rows = _read(folder, names[rank()])
    elif names:
        rows = _spread_anew([_read(folder, name) for name in names])
    elif CATALOGUE in state and world() > 1:
        rows = _spread_anew([{**state[CATALOGUE], "best": state["best"][CATALOGUE]}])
    else:
        return state
    best = {**state["best"], CATALOGUE: rows.pop("best")}
    return {**state, CATALOGUE: rows, "best": best}


def _spread_anew(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """This worker's rows of those that another number of workers had."""
    return {
        name: interleaved([part[name] for part in parts])[rank() :: world()].clone()
        if isinstance(value, Tensor)
        else value
        for name, value in parts[0].items()
    }


def leave_part(part: dict[str, Tensor], folder: Folder) -> None:
    """Write what this worker knows of the trained model, for :func:`whole_model_state`."""
    write_tensors(part, folder, f"{ROWS}{rank():05d}.pt")


def whole_model_state(folder: Folder) -> dict[str, Tensor]:
    """The state of the model of which all workers have left their parts."""
    return whole_state([_read(folder, name) for name in folder.names(ROWS)])


def _read(folder: Folder, name: str) -> dict[str, Any]:
    rows = read_tensors(folder, name)
    assert rows is not None, "its name has just been read"
    return rows
