"""The rows of a catalogue that is spread over several workers, in checkpoints: a file a worker.

They may be read by another number of workers than wrote them. Knows nothing of Ray.
"""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor

from engine.learning.exchange import interleaved
from engine.learning.workers import rank, world
from jobs.training.storage import Folder

CATALOGUE, ROWS = "catalogue", "rows-"


def save_rows(state: dict[str, Any], folder: Folder) -> dict[str, Any]:
    """Write this worker's rows, where there are such, and return the state without them.

    One worker alone keeps them in the state: one file is written as a whole or not at all.
    """
    if CATALOGUE not in state or world() == 1:
        return state
    best = dict(state["best"])
    rows = {**state[CATALOGUE], "best": best.pop(CATALOGUE)}
    folder.write(f"{ROWS}{rank():05d}.pt", serialised(rows))
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


def serialised(value: dict[str, Any]) -> bytes:
    """As torch saves it."""
    contents = io.BytesIO()
    torch.save(value, contents)
    return contents.getvalue()


def _spread_anew(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """This worker's rows of those that another number of workers had."""
    return {
        name: interleaved([part[name] for part in parts])[rank() :: world()].clone()
        if isinstance(value, Tensor)
        else value
        for name, value in parts[0].items()
    }


def _read(folder: Folder, name: str) -> dict[str, Any]:
    if folder.local is not None:
        return dict(torch.load(folder.local / name, weights_only=True, map_location="cpu", mmap=True))
    return dict(torch.load(io.BytesIO(folder.read(name) or b""), weights_only=True, map_location="cpu"))
