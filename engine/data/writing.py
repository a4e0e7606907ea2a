"""Writes a prepared data set so that it is there whole or not at all.

Everything goes to a temporary folder beside the target, which is renamed at the end. Knows nothing of input
files or of how the episode rows were computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.dataset import (
    EDGES,
    EPISODES,
    FORMAT,
    FORMAT_VERSION,
    ITEMS,
    MANIFEST,
    USERS,
    contents_fingerprint,
    is_dataset,
)
from engine.data.pieces import PIECE_USERS
from engine.data.shards import histories_of
from engine.data.signals import Signals
from engine.errors import DataError
from engine.folders import is_free, replacing


@dataclass(frozen=True)
class Contents:
    """All of a data set but its episodes."""

    items: pa.Table
    users: pa.Table
    edges: pa.Table | None
    signals: Signals
    item_kinds: dict[str, str]  # "ignore" included
    user_kinds: dict[str, str]


def check_target(folder: Path) -> None:
    """Raise DataError unless the folder may be written: it is new, empty, or an older data set."""
    if not is_free(folder) and not is_dataset(folder):
        raise DataError(
            "will not overwrite what is not a prepared data set",
            where=str(folder),
            fix="Name another folder with --out, or remove this one yourself.",
        )


def write_dataset(
    folder: Path, shards: Iterable[tuple[int, pa.Table]], contents: Contents, about: dict[str, Any]
) -> dict[str, Any]:
    """Write a data set and return its manifest.

    Args:
        folder: the target; an older data set there is replaced.
        shards: (number, episode rows) in any order; numbers from 0 without gaps.
        contents: everything else.
        about: further entries of the manifest: counts, sources, dropped rows.

    Raises:
        DataError: the target is something else than a data set, or cannot be written.
    """
    check_target(folder)
    try:
        with replacing(folder) as temporary:
            return _write(temporary, shards, contents, about)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", where=str(folder)) from None


def _write(
    folder: Path, shards: Iterable[tuple[int, pa.Table]], contents: Contents, about: dict[str, Any]
) -> dict[str, Any]:
    (folder / EPISODES).mkdir()
    for number, rows in shards:
        part = folder / EPISODES / f"part-{number:05d}.parquet"
        pq.write_table(rows, part, compression="zstd", row_group_size=PIECE_USERS)
    pq.write_table(contents.items, folder / ITEMS, compression="zstd")
    pq.write_table(contents.users, folder / USERS, compression="zstd", row_group_size=PIECE_USERS)
    if contents.edges is not None:
        pq.write_table(contents.edges, folder / EDGES, compression="zstd")
    manifest = {**_header(folder, contents), **about}
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def created_by() -> str:
    try:
        return f"firstclick {version('firstclick')}"
    except PackageNotFoundError:
        return "firstclick (not installed)"


def _header(folder: Path, contents: Contents) -> dict[str, Any]:
    parts = sorted((folder / EPISODES).glob("part-*.parquet"))
    histories = histories_of([pq.read_table(part) for part in parts])
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created_by": created_by(),
        "fingerprint": contents_fingerprint(
            histories,
            contents.items,
            contents.users,
            contents.signals,
            contents.item_kinds,
            contents.user_kinds,
        ),
        "signals": contents.signals.to_json(),
        "item_kinds": contents.item_kinds,
        "user_kinds": contents.user_kinds,
        "shards": len(parts),
    }
