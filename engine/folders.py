"""Writes a folder as a whole: it takes its place if all goes well, and leaves no trace if not.

Knows nothing of what the folder holds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary sibling to write to, which then takes the place of ``folder``.

    Raises:
        OSError: the place cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        yield temporary
        _open_to_readers(temporary)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
            folder.rename(old / folder.name)
            temporary.rename(folder)
            shutil.rmtree(old)
        else:
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """A temporary folder is its owner's alone; what takes its place is for whoever may read there."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def is_free(folder: Path) -> bool:
    """Whether nothing is lost by writing there: no such path, or an empty folder."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
