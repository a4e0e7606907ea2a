"""Finds out which files make which table: by their names, their columns, and each other.

Knows nothing of what is in the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from engine.data.tables.files import find_files, read_pieces
from engine.data.tables.guess import hinted_role, role_of
from engine.data.tables.samples import sample
from engine.data.tables.schema import ROLE_COLUMNS
from engine.errors import DataError
from jobs.inspection.by_ids import IDS, ids_in, role_by_ids
from jobs.inspection.columns import names_of
from jobs.inspection.findings import Inspection, Problem

PEEK = 20_000  # rows that decide what a table is


def paths_of(sources: Sequence[str], found: Inspection) -> list[Path]:
    """The tables behind files, folders and globs."""
    paths: dict[Path, None] = {}
    for source in sources:
        try:
            paths |= dict.fromkeys(find_files(source))
        except DataError as error:
            found.problems.append(Problem.of(error, source))
    return list(paths)


def peek(path: Path) -> pa.Table:
    """The first rows of a file, under its own names.

    Raises:
        DataError: it cannot be read as what its name says.
    """
    return next(read_pieces(sample([path], PEEK).pieces[:1], {})).table


def tables_of(paths: Sequence[Path], found: Inspection) -> dict[str, list[Path]]:
    """The files of each role; of several kinds of table for one role the likeliest."""
    groups: dict[str, dict[tuple[str, ...], list[Path]]] = {}
    unclear: dict[Path, pa.Table] = {}
    for path in paths:
        try:
            front = peek(path)
        except DataError as error:
            found.problems.append(Problem.of(error, str(path)))
            continue
        names = front.column_names
        told = [contract for contract, own in found.schema.columns.items() if own in names]
        role = role_of(path.stem, [*names, *told])
        if role is None:
            unclear[path] = front
        else:
            groups.setdefault(role, {}).setdefault(tuple(sorted(names)), []).append(path)
    _told_by_ids(unclear, groups, found)
    return {role: _likeliest(role, kinds, found) for role, kinds in groups.items()}


def _told_by_ids(
    unclear: Mapping[Path, pa.Table],
    groups: dict[str, dict[tuple[str, ...], list[Path]]],
    found: Inspection,
) -> None:
    """Tables whose names say nothing, but that hold the ids of the events; the others are problems."""
    events = next((paths[0] for paths in groups.get("interactions", {}).values()), None)
    known = event_ids(peek(events), found) if unclear and events else {}
    for path, front in unclear.items():
        role = role_by_ids(front, known, hinted_role(path.stem))
        if role is None:
            found.problems.append(_unclear(path, front.column_names))
        else:
            groups.setdefault(role, {}).setdefault(tuple(sorted(front.column_names)), []).append(path)


def event_ids(front: pa.Table, found: Inspection) -> dict[str, set[str]]:
    """Contract's name -> the ids in a first piece of the events."""
    names = names_of(front, "interactions", found.schema).all
    return {contract: ids_in(front, names.get(contract, contract)) for contract in IDS.values()}


def _unclear(path: Path, names: Sequence[str]) -> Problem:
    return Problem(
        str(path),
        f"it is not clear what the table holds: its columns are {', '.join(map(repr, names))}",
        f"Events? Say --interactions {path} --column user_id=YOURS --column item_id=YOURS. Or "
        f"--items {path} --column items.item_id=YOURS, or --users.",
        stops=False,
    )


def _likeliest(role: str, kinds: Mapping[tuple[str, ...], list[Path]], found: Inspection) -> list[Path]:
    def likeness(names: tuple[str, ...]) -> tuple[bool, int, bool]:
        stems = [path.stem.lower() for path in kinds[names]]
        called = any(role.rstrip("s") in stem for stem in stems)
        return called, len(set(names) & set(ROLE_COLUMNS[role])), not any("split" in stem for stem in stems)

    best = max(kinds, key=likeness)
    for names, paths in kinds.items():
        if names != best:
            what = f"left aside: it looks like {role}, too, with other columns than {kinds[best][0].name}"
            fix = f"Should it be used? Then say --{role} {paths[0]}."
            found.problems.append(Problem(", ".join(map(str, paths)), what, fix, stops=False))
    return kinds[best]
