"""Checkpoints: what a training run resumes from. Files only; knows nothing of Ray.

Loading uses torch's restricted unpickler (tensors and plain containers), so a checkpoint runs no code.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from engine.errors import TrainingError

STATE = "training.pt"


def save_state(state: dict[str, Any], folder: Path) -> None:
    """Write a training state; a crash meanwhile leaves the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{STATE}"
    torch.save(state, scratch)
    os.replace(scratch, folder / STATE)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The training state in ``folder``, or None where there is none.

    Raises:
        TrainingError: the file is broken.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        return dict(torch.load(path, weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise TrainingError(
            "the checkpoint cannot be read", where=str(path), fix="Give another --run to start anew."
        ) from error
