"""``firstclick inspect``: options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from jobs.commands.prepare import TABLE, Columns, SchemaFile
from jobs.terminal import AsJson, Quiet, console, examples, print_json

EXAMPLES = examples(
    "firstclick inspect my_tables/",
    "firstclick inspect events.csv products.parquet --column event=event_type",
    "firstclick inspect my_tables/ --write dataset.toml",
)


def inspect_command(
    files: Annotated[
        list[str] | None, typer.Argument(help=f"{TABLE}; what each holds is guessed.", show_default=False)
    ] = None,
    interactions: Annotated[str | None, typer.Option(help="The events, where the guess is wrong.")] = None,
    items: Annotated[str | None, typer.Option(help="The items.")] = None,
    users: Annotated[str | None, typer.Option(help="The users.")] = None,
    edges: Annotated[str | None, typer.Option(help="The edges.")] = None,
    column: Columns = None,
    schema: SchemaFile = None,
    write: Annotated[
        Path | None, typer.Option(help="Write what was understood as a schema file for prepare.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell what tables hold and what is wrong with them, before anything is made of them.

    Exit code 1 where prepare would refuse.
    """
    from engine.data.tables.schema import Schema, read_schema
    from engine.errors import ConfigError
    from jobs.inspection.look import inspect
    from jobs.inspection.proposal import next_command, schema_text
    from jobs.inspection.view import views

    roles = {"interactions": interactions, "items": items, "users": users, "edges": edges}
    given = {role: source for role, source in roles.items() if source}
    if not files and not given:
        raise ConfigError("no files are given", fix="Say firstclick inspect FILES, a folder for example.")
    told = (read_schema(schema) if schema else Schema()).with_columns(column or [])
    found = inspect(files or [], given, told)
    if write is not None:
        write.write_text(schema_text(found).rstrip("\n") + "\n", encoding="utf-8")
    command = next_command(found, write or schema)
    if as_json:
        print_json(found.to_json() | {"next": command})
    elif not quiet:
        for view in views(found, command):
            console.print(view, soft_wrap=isinstance(view, Text))
    raise typer.Exit(1 if found.stops else 0)
