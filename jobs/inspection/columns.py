"""Tells of a table's columns what each means: a column of the contract, a feature of some kind, or nothing.

Knows nothing of files or of other tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from engine.data.features.kinds import guess_kind
from engine.data.tables.guess import own_names
from engine.data.tables.interactions import unused_columns
from engine.data.tables.schema import ROLE_COLUMNS, Schema
from jobs.inspection.by_ids import IDS, id_column
from jobs.inspection.findings import Column

NOTHING: Mapping[str, set[str]] = {}


class Names(NamedTuple):
    """Contract's name -> the table's own, where they differ."""

    told: dict[str, str]
    guessed: dict[str, str]

    @property
    def all(self) -> dict[str, str]:
        return self.told | self.guessed


def names_of(table: pa.Table, role: str, schema: Schema, known: Mapping[str, set[str]] = NOTHING) -> Names:
    """What the schema says of this table, and guesses for what it does not say.

    One schema serves several tables: an id that this table calls by the contract's name stays.

    Args:
        known: contract's name -> ids of the events; by them an id column of any name is found.
    """
    own = table.column_names
    told = {c: name for c, name in schema.columns_of(role).items() if name in own or c not in own}
    found = {c: name for c, name in told.items() if name in own}
    guessed = own_names(table, role, found)
    contract = IDS.get(role, "")
    if contract and contract not in {*own, *found, *guessed}:
        column = id_column(table, known.get(contract, set()))
        guessed |= {contract: column} if column else {}
    return Names({c: name for c, name in told.items() if c not in guessed}, guessed)


def columns_of(table: pa.Table, role: str, names: Names, schema: Schema) -> tuple[Column, ...]:
    """Every column of the table in its order."""
    contract = {own: name for name, own in names.all.items()}
    renamed = [contract.get(name, name) for name in table.column_names]
    unused = set(unused_columns(renamed)) if role == "interactions" else set[str]()
    kinds = {"items": schema.item_kinds, "users": schema.user_kinds}.get(role, {})
    return tuple(
        _column(name, table[name], role, names, "" if meant in unused else meant, kinds)
        for name, meant in zip(table.column_names, renamed, strict=True)
    )


def _column(
    name: str, cells: pa.ChunkedArray, role: str, names: Names, meant: str, kinds: Mapping[str, str]
) -> Column:
    kind = str(cells.type)
    if meant in names.guessed and names.guessed[meant] == name:
        return Column(name, kind, meant, "guessed: say so with --column", guessed=True)
    if meant in names.told and names.told[meant] == name:
        return Column(name, kind, meant, "as you say")
    if meant in ROLE_COLUMNS[role]:
        return Column(name, kind, meant, "by its name")
    if role in ("interactions", "edges"):
        return Column(name, kind, "", f"{role} have no features")
    if name in kinds:
        return Column(name, kind, kinds[name], "as you say")
    guess = guess_kind(name, cells)
    return Column(name, kind, guess.kind, guess.why)
