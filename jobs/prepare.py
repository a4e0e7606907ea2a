"""Makes a prepared data set out of tables of events, items, users and edges.

Small tables are handled in this process without starting Ray; large or many files go through Ray Data.
Both give the same data set. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer

from engine.data.fingerprint import hash_table
from engine.data.shards import SHARD_EVENTS, shard_of_user
from engine.data.tables.bad_rows import BadRows, FileTable, stop_if_any
from engine.data.tables.columns import whole_array
from engine.data.tables.edges import Relation, relations_of, with_relations
from engine.data.tables.entities import Entities, check_edges, check_entities, no_entities
from engine.data.tables.files import Piece, Source, pieces_of, read_pieces
from engine.data.tables.interactions import Lookup, Tally, ordered_ids
from engine.data.tables.schema import Schema, read_schema
from engine.data.writing import Contents, check_target, write_dataset
from engine.errors import ConfigError, DataError
from jobs.grouping import Grouping, InProcess, Progress
from jobs.prepare_summary import progress_bars, summary
from jobs.terminal import run_command, tell

IN_PROCESS_BYTES = 512 * 2**20  # of files; parquet grows several times over in memory
IN_PROCESS_FILES = 256
ENGINES = ("auto", "local", "ray")
POLICIES = ("stop", "drop")
TABLE = "A file, folder or quoted glob of parquet, CSV or TSV"


@dataclass(frozen=True)
class SideTables:
    """All that is read but the events."""

    items: Entities
    users: Entities
    edges: pa.Table | None
    bad: list[BadRows]


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
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Any]:
    """Prepare a data set and return its manifest.

    Args:
        interactions, users, items, edges: each a file, folder or glob of parquet, CSV or TSV, or a
            table in memory (pandas or Arrow).
        out: the folder to write; an older data set there is replaced, anything else refused.
        schema: own column names and feature kinds.
        on_bad_rows: "stop" at them, or "drop" and count them in the manifest.
        engine: "local", "ray", or "auto" by the size and number of the interaction files.
        shard_events: events per episode file, more or less; the contents do not depend on it.
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
    side = _side_tables(inputs, schema, progress)
    grouping = _grouping(inputs["interactions"], engine, schema)
    tally = grouping.tally(progress)
    bad = [*side.bad, *tally.bad]
    if on_bad_rows == "stop":
        stop_if_any(bad)
    if not tally.n_events:
        raise DataError("there are no events", where=inputs["interactions"][0].name, fix=_why_empty(bad))
    lookup = _lookup(tally, side)
    events_of = np.array([tally.users[user] for user in lookup.user_ids.to_pylist()], dtype=np.int64)
    shards = grouping.shards(lookup, shard_of_user(events_of, shard_events), progress)
    relations = _relations(lookup, side, schema)
    contents = _contents(lookup, side, relations)
    about = {**_about(tally, side, contents), "relations": _about_relations(relations, contents)}
    return write_dataset(out, shards, contents, {**about, **_origin(inputs, bad)})


def _side_tables(inputs: Mapping[str, list[Piece]], schema: Schema, progress: Progress) -> SideTables:
    def read(role: str) -> list[FileTable]:
        return list(read_pieces(inputs[role], schema.columns_of(role)))

    items, users = no_entities("item_id"), no_entities("user_id")
    edges: pa.Table | None = None
    bad_edges: tuple[BadRows, ...] = ()
    if "items" in inputs:
        items = check_entities(read("items"), "item_id", schema.item_kinds)
        progress("reading items", 1, 1)
    if "users" in inputs:
        users = check_entities(read("users"), "user_id", schema.user_kinds)
        progress("reading users", 1, 1)
    if "edges" in inputs:
        edges, bad_edges = check_edges(read("edges"))
        progress("reading edges", 1, 1)
    return SideTables(items, users, edges, [*items.bad, *users.bad, *bad_edges])


def _grouping(pieces: list[Piece], engine: str, schema: Schema) -> Grouping:
    files = {piece.path for piece in pieces if piece.path is not None}
    large = sum(path.stat().st_size for path in files) > IN_PROCESS_BYTES or len(files) > IN_PROCESS_FILES
    if engine == "local" or (engine == "auto" and not large):
        return InProcess(pieces, schema.columns_of("interactions"))
    from jobs.cluster import attach  # importing Ray takes seconds
    from jobs.ray_grouping import OnRay

    attach()
    return OnRay(pieces, schema.columns_of("interactions"))


def _lookup(tally: Tally, side: SideTables) -> Lookup:
    everyone = ordered_ids(side.users.ids, tally.users)
    active = [user for user in everyone.to_pylist() if user in tally.users]
    return Lookup(pa.array(active, pa.string()), ordered_ids(side.items.ids, tally.items), tally.signals())


def _relations(lookup: Lookup, side: SideTables, schema: Schema) -> list[Relation]:
    people = pa.concat_arrays([lookup.user_ids, side.users.ids])
    return relations_of(side.edges, {"items": lookup.item_ids, "users": people}, schema.relations)


def _contents(lookup: Lookup, side: SideTables, relations: list[Relation]) -> Contents:
    catalogue = with_relations(side.items.aligned(lookup.item_ids), "items", relations)
    people = with_relations(side.users.aligned(lookup.user_ids), "users", relations)
    item_kinds, user_kinds = (
        {**known.kinds, **{r.name: "tags" for r in relations if r.describes == role}}
        for role, known in (("items", side.items), ("users", side.users))
    )
    return Contents(catalogue, people, side.edges, lookup.signals, item_kinds, user_kinds)


def _about_relations(relations: list[Relation], contents: Contents) -> dict[str, Any]:
    ids = {"items": contents.items["item_id"], "users": contents.users["user_id"]}
    return {r.name: r.about(whole_array(ids[r.describes]) if r.ends else None) for r in relations}


def _about(tally: Tally, side: SideTables, contents: Contents) -> dict[str, Any]:
    n_users, n_items = contents.users.num_rows, contents.items.num_rows
    return {
        "counts": {
            "users": n_users,
            "items": n_items,
            "events": tally.n_events,
            "users_without_events": len(set(side.users.ids.to_pylist()) - set(tally.users)),
            "items_without_events": n_items - len(tally.items),
            "items_without_features": len(set(tally.items) - set(side.items.ids.to_pylist())),
            "users_without_features": len(set(tally.users) - set(side.users.ids.to_pylist())),
            "events_overruled": tally.n_overruled,
            "edges": side.edges.num_rows if side.edges is not None else 0,
        },
        "dated_share": tally.n_dated / tally.n_events,
        "ignored_columns": {
            "interactions": list(tally.unused),
            "items": side.items.ignored,
            "users": side.users.ignored,
        },
    }


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


def prepare_command(
    interactions: Annotated[str, typer.Option(help=f"Events: user_id, item_id, ... {TABLE}.")],
    out: Annotated[Path, typer.Option(help="The data set to write, a folder.")],
    users: Annotated[str | None, typer.Option(help="user_id and features.")] = None,
    items: Annotated[str | None, typer.Option(help="item_id and features.")] = None,
    edges: Annotated[str | None, typer.Option(help="src, relation, dst.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Your name for a column: event=event_type. May be repeated.")
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            help=r"TOML: \[columns] own names, \[items], \[users] feature kinds, \[edges] relations."
        ),
    ] = None,
    on_bad_rows: Annotated[
        str, typer.Option(help=f"What to do at bad rows: {' or '.join(POLICIES)}.")
    ] = "stop",
    engine: Annotated[str, typer.Option(help=f"Where to work: {', '.join(ENGINES)}.")] = "auto",
) -> None:
    """Turn tables of events, items and users into a data set for pretraining."""
    told = (read_schema(schema) if schema else Schema()).with_columns(column or [])
    with progress_bars() as progress:
        manifest = prepare(
            interactions=interactions,
            out=out,
            users=users,
            items=items,
            edges=edges,
            schema=told,
            on_bad_rows=on_bad_rows,
            engine=engine,
            progress=progress,
        )
    tell("prepared", summary(manifest, str(out)), out=str(out), counts=manifest["counts"])


def main() -> None:
    run_command(prepare_command)


if __name__ == "__main__":
    main()
