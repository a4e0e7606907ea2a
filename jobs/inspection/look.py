"""Looks at tables before anything is made of them: what each is, what its columns mean, what is wrong.

Reads and understands by the same functions as ``prepare``, large tables in part. A table that cannot be
understood becomes a problem, and the others are told all the same. Knows nothing of terminals.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from engine.data.tables.bad_rows import BadRows, FileTable
from engine.data.tables.doubts import nearly_numbers
from engine.data.tables.files import read_pieces
from engine.data.tables.interactions import Tally, clean
from engine.data.tables.samples import ROWS, sample
from engine.data.tables.schema import ROLE_COLUMNS, Schema
from engine.errors import ConfigError, DataError, FirstclickError
from jobs.inspection.columns import Names, columns_of, names_of
from jobs.inspection.events import about_events
from jobs.inspection.files import event_ids, paths_of, peek, tables_of
from jobs.inspection.findings import Inspection, Problem, Table
from jobs.understanding import side_tables, understand

SIDES = ("items", "users", "edges")


def inspect(
    files: Sequence[str],
    given: Mapping[str, str] | None = None,
    schema: Schema | None = None,
    rows: int = ROWS,
) -> Inspection:
    """Look at tables.

    Args:
        files: files, folders or globs whose roles are guessed.
        given: role -> file, folder or glob, where it is known.
        schema: what is said of columns and kinds; the rest is guessed.
        rows: of a table that are read, roughly.
    """
    found = Inspection(schema or Schema())
    groups = {role: paths_of([source], found) for role, source in (given or {}).items()}
    for role, paths in tables_of(paths_of(files, found), found).items():
        groups.setdefault(role, paths)
    known = _event_ids(groups.get("interactions", []), found)
    read = {role: _read(role, groups[role], rows, found, known) for role in ROLE_COLUMNS if groups.get(role)}
    _put_down_absent(found)
    _one_name_each(found)
    _understand({role: tables for role, tables in read.items() if tables}, found)
    if "interactions" not in groups and not found.stops:
        fix = "Name it with --interactions FILE, or its columns with --column user_id=YOURS."
        found.problems.append(Problem("", "none of the tables holds events of users with items", fix))
    return found


def _event_ids(paths: Sequence[Path], found: Inspection) -> dict[str, set[str]]:
    """None where the events cannot be read; the problem is told when they are."""
    try:
        return event_ids(peek(paths[0]), found) if paths else {}
    except DataError:
        return {}


def _read(
    role: str, paths: list[Path], rows: int, found: Inspection, known: Mapping[str, set[str]]
) -> list[FileTable]:
    """The table, or a part of it, under the contract's names; what there is to say of it is put down."""
    try:
        front = peek(paths[0])
        names = names_of(front, role, found.schema, known)
        part = sample(paths, rows)
        read = list(read_pieces(part.pieces, names.all))
    except DataError as error:
        found.problems.append(Problem.of(error, str(paths[0])))
        return []
    columns = columns_of(front, role, names, found.schema)
    n_read = sum(piece.table.num_rows for piece in read)
    total = n_read if part.whole else part.rows
    found.tables.append(Table(role, tuple(paths), columns, total, n_read, part.whole))
    _put_down_names(role, names, found)
    _put_down_doubts(str(paths[0]), front, names, found)
    return read


def _put_down_names(role: str, names: Names, found: Inspection) -> None:
    """A name that another table has otherwise is one of this role alone."""
    for contract, own in names.guessed.items():
        other = found.guessed.get(contract, found.schema.columns.get(contract, own))
        found.guessed[contract if other == own else f"{role}.{contract}"] = own


def _put_down_doubts(file: str, front: pa.Table, names: Names, found: Inspection) -> None:
    contract = {*names.all.values(), *(c for columns in ROLE_COLUMNS.values() for c in columns)}
    for name in (n for n in front.column_names if n not in contract):
        doubt = nearly_numbers(name, front[name])
        if doubt:
            problem = Problem(f"{file}, column {name}", doubt.what, doubt.fix, doubt.rows, stops=False)
            found.problems.append(problem)


def _put_down_absent(found: Inspection) -> None:
    """Names that were told and that no table has."""
    names = [column.name for table in found.tables for column in table.columns]
    for contract, own in found.schema.columns.items():
        if own not in names:
            close = [] if contract in names else difflib.get_close_matches(own, names, 1)
            fix = f"Did you mean {contract}={close[0]}?" if close else f"Leave out {contract}={own}."
            found.problems.append(Problem("", f"no table has a column {own!r}", fix))


def _one_name_each(found: Inspection) -> None:
    """What was guessed, as ``prepare`` has to be told it."""
    try:
        pairs = [f"{contract}={own}" for contract, own in found.guessed.items()]
        found.schema = found.schema.with_columns(pairs)
    except ConfigError as error:
        found.problems.append(Problem.of(error))


def _understand(read: Mapping[str, list[FileTable]], found: Inspection) -> None:
    """Check the rows and bring the tables together."""
    sides = {role: read[role] for role in SIDES if role in read and _checked(role, read[role], found)}
    tally, cleaned = _counted(read.get("interactions", ()), found)
    if not tally.n_events:
        return
    try:
        understood = understand(tally, side_tables(sides, found.schema, lambda _: None), found.schema)
        found.events = about_events(tally, cleaned, understood.lookup.signals)
    except FirstclickError as error:
        found.problems.append(Problem.of(error))
        return
    names = list(understood.lookup.signals.names)
    found.about = understood.about | {"signals": {"names": names}, "sources": sides}
    _forget_unknown(found)


def _checked(role: str, tables: list[FileTable], found: Inspection) -> bool:
    try:
        side = side_tables({role: tables}, found.schema, lambda _: None)
    except FirstclickError as error:
        found.problems.append(Problem.of(error, role))
        return False
    _put_down_bad(role, side.bad, found)
    if role != "edges":
        found.kinds[role] = (side.items if role == "items" else side.users).kinds
    return True


def _counted(tables: Sequence[FileTable], found: Inspection) -> tuple[Tally, list[pa.Table]]:
    tally, cleaned = Tally(), []
    for table in tables:
        try:
            good = clean(table)
        except DataError as error:
            found.problems.append(Problem.of(error, table.name))
            continue
        tally.add(Tally.of(table.table.column_names, good))
        cleaned.append(good.table)
    _put_down_bad("interactions", tally.bad, found)
    if tables and not tally.n_events and not found.stops:
        found.problems.append(Problem(tables[0].name, "there are no events"))
    return tally, cleaned


def _put_down_bad(role: str, bad: Sequence[BadRows], found: Inspection) -> None:
    own = found.schema.columns_of(role)
    for entry in bad:
        place = f"{entry.file}, column {own.get(entry.column, entry.column)}" if entry.column else entry.file
        what = f"{entry.reason}: {entry.count:,} of {entry.total:,} rows"
        fix = "Correct them, or leave them out with --on-bad-rows drop."
        found.problems.append(Problem(place, what, fix, entry.examples))
        found.bad_rows = True


def _forget_unknown(found: Inspection) -> None:
    """Of tables read in part nobody can say which ids they lack."""
    unknown = {
        "interactions": ("users_without_events", "items_without_events"),
        "items": ("items_without_features",),
        "users": ("users_without_features",),
    }
    for table in found.tables:
        for count in unknown.get(table.role, ()) if not table.whole else ():
            found.about["counts"][count] = 0
