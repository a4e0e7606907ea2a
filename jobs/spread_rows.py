"""The rows of a catalogue that is spread over workers, in checkpoints: a file a worker.

They may be read by another number of workers than wrote them. Files only; knows nothing of Ray.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.learning.exchange import interleaved
from engine.learning.workers import rank, world

CATALOGUE = "catalogue"


def save_rows(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write this worker's rows, where there are such, and return the state without them."""
    if CATALOGUE not in state:
        return state
    rows = {**state[CATALOGUE], "best": state["best"][CATALOGUE]}
    scratch = folder / f".rows-{rank()}.pt"
    torch.save(rows, scratch)
    os.replace(scratch, folder / f"rows-{rank():05d}.pt")
    best = {name: tensor for name, tensor in state["best"].items() if name != CATALOGUE}
    return {name: value for name, value in state.items() if name != CATALOGUE} | {"best": best}


def load_rows(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The state with this worker's rows."""
    files = sorted(folder.glob("rows-*.pt"))
    if not files:
        return state
    as_written = len(files) == world()
    rows = _read(files[rank()]) if as_written else _spread_anew([_read(file) for file in files])
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


def _read(file: Path) -> dict[str, Any]:
    return dict(torch.load(file, weights_only=True, map_location="cpu", mmap=True))
