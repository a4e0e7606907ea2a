"""Tensors and plain containers as files, written and read without a second copy of them in memory.

Loading uses torch's restricted unpickler, so a file runs no code. Knows nothing of what they mean.
"""

from __future__ import annotations

import io
from typing import Any

import torch

from jobs.training.storage import Folder


def write_tensors(value: dict[str, Any], folder: Folder, name: str) -> None:
    """As torch saves it, as a whole or not at all."""
    with folder.writing(name) as file:
        torch.save(value, file)


def read_tensors(folder: Folder, name: str) -> dict[str, Any] | None:
    """What was written; None where there is no such file. On this machine it is read when looked at.

    Raises:
        RuntimeError, pickle.UnpicklingError, EOFError, ValueError: it is broken.
    """
    if folder.local is not None:
        path = folder.local / name
        return (
            dict(torch.load(path, weights_only=True, map_location="cpu", mmap=True))
            if path.is_file()
            else None
        )
    contents = folder.read(name)
    if contents is None:
        return None
    return dict(torch.load(io.BytesIO(contents), weights_only=True, map_location="cpu"))
