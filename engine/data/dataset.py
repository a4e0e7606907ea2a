"""A prepared data set: who did what, what is known of users and items, and the manifest that says where from.

Read whole into memory. Knows nothing of how it was made (see ``writing``) or of learning.

Shapes: U users with events, N catalogue, E events.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.features.kinds import IGNORE
from engine.data.fingerprint import fingerprint, hash_histories, hash_json, hash_table
from engine.data.histories import Histories
from engine.data.shards import histories_of
from engine.data.signals import Signals
from engine.errors import DataError

FORMAT = "firstclick-dataset"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
EPISODES, ITEMS, USERS, EDGES = "episodes", "items.parquet", "users.parquet", "edges.parquet"


@dataclass(frozen=True)
class Dataset:
    """A prepared data set, in memory.

    Items without events stand in the catalogue all the same; users without events are left out.
    """

    histories: Histories
    user_ids: list[str]  # (U,)
    item_ids: list[str]  # (N,)
    items: pa.Table  # (N rows) item_id and the raw feature columns
    users: pa.Table  # (U rows) user_id and the raw feature columns
    item_kinds: dict[str, str]  # feature column -> kind, without those of kind "ignore"
    user_kinds: dict[str, str]
    signals: Signals
    dated: bool  # every event has a timestamp
    manifest: dict[str, Any]  # manifest["fingerprint"] identifies the contents

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @staticmethod
    def load(folder: str | Path) -> Dataset:
        """Read a data set that ``prepare`` has written, and check it against its fingerprint.

        Raises:
            DataError: no such folder, not a data set, of a newer format, or changed since it was made.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        try:
            tables = {n: pq.read_table(folder / n) for n in (ITEMS, USERS)}
            shards = [pq.read_table(p) for p in sorted((folder / EPISODES).glob("part-*.parquet"))]
            signals = Signals.from_json(manifest["signals"])
            kinds = [manifest["item_kinds"], manifest["user_kinds"]]
            histories = histories_of(shards)
            print_ = contents_fingerprint(histories, tables[ITEMS], tables[USERS], signals, *kinds)
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise _broken(folder, f"is broken: {type(error).__name__}: {error}") from None
        if print_ != manifest["fingerprint"]:
            raise _broken(folder, "has changed since it was prepared (its fingerprint differs)")
        return Dataset(
            histories=histories,
            user_ids=tables[USERS]["user_id"].to_pylist(),
            item_ids=tables[ITEMS]["item_id"].to_pylist(),
            items=tables[ITEMS],
            users=tables[USERS],
            item_kinds=used_kinds(manifest["item_kinds"]),
            user_kinds=used_kinds(manifest["user_kinds"]),
            signals=signals,
            dated=manifest["dated_share"] == 1,
            manifest=manifest,
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a data set of a format this version can read. Raises DataError."""
    fix = "Make one with `firstclick prepare --interactions FILE --out FOLDER`."
    if not folder.is_dir():
        raise DataError("no such data set", where=str(folder), fix=fix)
    if not is_dataset(folder):
        raise DataError("not a prepared data set", where=str(folder), fix=fix)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(
            f"the data set has format {version}, this firstclick reads format {FORMAT_VERSION}",
            where=f"{folder}, made by {manifest.get('created_by')}",
            fix="Use the firstclick that made it, or prepare the data again with this one.",
        )
    return manifest


def is_dataset(folder: Path) -> bool:
    """Has the folder a manifest that says so?"""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def contents_fingerprint(
    histories: Histories,
    items: pa.Table,
    users: pa.Table,
    signals: Signals,
    item_kinds: dict[str, str],
    user_kinds: dict[str, str],
) -> str:
    """Identifies what a data set says, whichever way its files came about."""
    tables = (hash_table(items), hash_table(users))
    plain = (hash_json(signals.to_json()), hash_json(item_kinds), hash_json(user_kinds))
    return fingerprint((hash_histories(histories), *tables, *plain))


def used_kinds(kinds: dict[str, str]) -> dict[str, str]:
    return {column: kind for column, kind in kinds.items() if kind != IGNORE}


def _broken(folder: Path, what: str) -> DataError:
    return DataError(f"the data set {what}", where=str(folder), fix="Prepare it again.")
