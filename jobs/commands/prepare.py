"""``firstclick prepare``: options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from jobs.terminal import AsJson, Quiet, examples, hushed, print_json, tell

TABLE = "A file, folder or quoted glob of parquet, CSV or TSV"
EXAMPLES = examples(
    "firstclick prepare --interactions events.parquet --items items.parquet --out data",
    "firstclick prepare --interactions 'logs/*.csv' --column event=event_type --out data",
    "firstclick prepare --interactions ratings.csv --schema dataset.toml --on-bad-rows drop --out data",
)
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Your name for a column: event=event_type. May be repeated."),
]
SchemaFile = Annotated[
    Path | None,
    typer.Option(help=r"TOML: \[columns] own names, \[items], \[users] feature kinds, \[edges] relations."),
]


def prepare_command(
    interactions: Annotated[str, typer.Option(help=f"Events: user_id, item_id, ... {TABLE}.")],
    out: Annotated[Path, typer.Option(help="The data set to write, a folder.")],
    users: Annotated[str | None, typer.Option(help="user_id and features.")] = None,
    items: Annotated[str | None, typer.Option(help="item_id and features.")] = None,
    edges: Annotated[str | None, typer.Option(help="src, relation, dst.")] = None,
    column: Columns = None,
    schema: SchemaFile = None,
    on_bad_rows: Annotated[Literal["stop", "drop"], typer.Option(help="What to do at bad rows.")] = "stop",
    engine: Annotated[Literal["auto", "local", "ray"], typer.Option(help="Where to work.")] = "auto",
    replace: Annotated[bool, typer.Option(help="Replace a data set of other tables.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Turn tables of events, items and users into a data set for pretraining."""
    from engine.data.tables.schema import Schema, read_schema
    from jobs.prepare import prepare
    from jobs.preparing.summary import progress_bars, summary

    told = (read_schema(schema) if schema else Schema()).with_columns(column or [])
    with hushed(quiet or as_json), progress_bars() as progress:
        manifest = prepare(
            interactions=interactions,
            out=out,
            users=users,
            items=items,
            edges=edges,
            schema=told,
            on_bad_rows=on_bad_rows,
            engine=engine,
            replace=replace,
            progress=progress,
        )
    if as_json:
        print_json(manifest)
    elif not quiet:
        tell("prepared", summary(manifest, str(out)), out=str(out), counts=manifest["counts"])
