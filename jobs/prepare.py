"""Makes a prepared data set out of tables of events, items, users and edges.

Small tables are handled in this process without starting Ray; large or many files go through Ray Data.
Both give the same data set. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.dataset import MANIFEST
from engine.data.fingerprint import hash_table
from engine.data.shards import SHARD_EVENTS, shard_of_user
from engine.data.tables.bad_rows import BadRows, FileTable, stop_if_any
from engine.data.tables.files import Piece, Source, pieces_of, read_pieces
from engine.data.tables.schema import Schema
from engine.data.writing import check_target, write_dataset
from engine.errors import ConfigError, DataError
from engine.folders import is_free
from jobs.commands.prepare import prepare_command
from jobs.preparing.grouping import Grouping, InProcess, Progress
from jobs.terminal import run_command
from jobs.understanding import SideTables, side_tables, understand

IN_PROCESS_BYTES = 512 * 2**20  # of files; parquet grows several times over in memory
IN_PROCESS_FILES = 256
ENGINES = ("auto", "local", "ray")
POLICIES = ("stop", "drop")


def prepare(
    *,
    interactions: Source,
    out: str | Path,
    users: Source | None = None,
    items: Source | None = None,
    edges: Source | None = None,
    schema: Schema | None = None,
    on_bad_rows: str = "stop",
    engine: str = "auto",
    shard_events: int = SHARD_EVENTS,
    replace: bool = False,
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Any]:
    """Prepare a data set and return its manifest.

    Args:
        interactions, users, items, edges: each a file, folder or glob of parquet, CSV or TSV, or a
            table in memory (pandas or Arrow).
        out: the folder to write; a data set of the same tables there is replaced, anything else refused.
        schema: own column names and feature kinds.
        on_bad_rows: "stop" at them, or "drop" and count them in the manifest.
        engine: "local", "ray", or "auto" by the size and number of the interaction files.
        shard_events: events per episode file, more or less; the contents do not depend on it.
        replace: whether ``out`` may hold a data set of other tables, which then goes.
        progress: called with (step, done, total).

    Raises:
        DataError: the input or the folder is wrong.
        ConfigError: an argument is.
    """
    _check_choice("on_bad_rows", on_bad_rows, POLICIES)
    _check_choice("engine", engine, ENGINES)
    schema, out = schema or Schema(), Path(out)
    check_target(out)
    roles = {"interactions": interactions, "items": items, "users": users, "edges": edges}
    inputs = {role: pieces_of(given, role) for role, given in roles.items() if given is not None}
    if not replace:
        _keep_another(out, inputs)
    side = _side_tables(inputs, schema, progress)
    grouping = _grouping(inputs["interactions"], engine, schema)
    tally = grouping.tally(progress)
    bad = [*side.bad, *tally.bad]
    if on_bad_rows == "stop":
        stop_if_any(bad)
    if not tally.n_events:
        raise DataError("there are no events", where=inputs["interactions"][0].name, fix=_why_empty(bad))
    understood = understand(tally, side, schema)
    lookup = understood.lookup
    events_of = np.array([tally.users[user] for user in lookup.user_ids.to_pylist()], dtype=np.int64)
    shards = grouping.shards(lookup, shard_of_user(events_of, shard_events), progress)
    about = {**understood.about, "doubts": [*side.items.doubts, *side.users.doubts], **_origin(inputs, bad)}
    return write_dataset(out, shards, understood.contents, about)


def _keep_another(out: Path, inputs: Mapping[str, list[Piece]]) -> None:
    """Raise DataError where a data set of tables of other names stands."""
    if is_free(out):
        return
    sources = json.loads((out / MANIFEST).read_text(encoding="utf-8")).get("sources", {})
    theirs = {role: sorted({entry["file"] for entry in entries}) for role, entries in sources.items()}
    ours = {role: sorted({_name(piece) for piece in pieces}) for role, pieces in inputs.items()}
    if theirs != ours:
        names = sorted({name for role in theirs for name in theirs[role]})
        raise DataError(
            f"there is a data set of other tables: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}",
            where=str(out),
            fix="Name another folder with --out, or say --replace.",
        )


def _side_tables(inputs: Mapping[str, list[Piece]], schema: Schema, progress: Progress) -> SideTables:
    def read(role: str) -> list[FileTable]:
        return list(read_pieces(inputs[role], schema.columns_of(role)))

    given = {role: read(role) for role in ("items", "users", "edges") if role in inputs}
    return side_tables(given, schema, lambda role: progress(f"reading {role}", 1, 1))


def _grouping(pieces: list[Piece], engine: str, schema: Schema) -> Grouping:
    files = {piece.path for piece in pieces if piece.path is not None}
    large = sum(path.stat().st_size for path in files) > IN_PROCESS_BYTES or len(files) > IN_PROCESS_FILES
    if engine == "local" or (engine == "auto" and not large):
        return InProcess(pieces, schema.columns_of("interactions"))
    from jobs.cluster import attach  # importing Ray takes seconds
    from jobs.preparing.ray_grouping import OnRay

    attach()
    return OnRay(pieces, schema.columns_of("interactions"))


def _origin(inputs: Mapping[str, list[Piece]], bad: Sequence[BadRows]) -> dict[str, Any]:
    return {
        "dropped_rows": [entry.to_json() for entry in bad],
        "sources": {role: _sources(pieces) for role, pieces in inputs.items()},
    }


def _sources(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    files = dict.fromkeys(piece.path for piece in pieces if piece.path is not None)
    return [{"file": p.name, "bytes": p.stat().st_size, "sha256": _sha256(p)} for p in files] + [
        {"file": piece.name, "rows": piece.table.num_rows, "sha256": hash_table(piece.table)}
        for piece in pieces
        if piece.path is None and piece.table is not None
    ]


def _name(piece: Piece) -> str:
    return piece.name if piece.path is None else piece.path.name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}", fix=f"Use one of {', '.join(known)}.")


def _why_empty(bad: Sequence[BadRows]) -> str:
    if not bad:
        return "The table has columns but no rows."
    reasons = "; ".join(sorted({entry.reason for entry in bad}))
    return f"All rows were dropped: {reasons}."


def main() -> None:
    run_command(prepare_command)


if __name__ == "__main__":
    main()
