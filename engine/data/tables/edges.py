"""Turns edges into features: a relation becomes a column of tags, the other ends, of what it describes.

Which of items and users a relation describes is seen from its ends' ids. Knows nothing of encoders.

Shapes: E edges of a relation, n rows of a table.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.data.features.kinds import IGNORE
from engine.data.tables.columns import mask_of, whole_array
from engine.errors import DataError

KNOWN = 0.8  # an end is an item, or a user, if this share of its distinct ids are items, or users
OTHER_END = {"src": "dst", "dst": "src"}
ROLES = {"items": "item_id", "users": "user_id"}
NOTHING = "nothing"


@dataclass(frozen=True)
class Relation:
    """What the edges of one name say."""

    name: str
    describes: str  # "items" or "users"; "nothing" where no end is known; "ignore" where so told
    ends: tuple[str, ...]  # of "src", "dst": those that are described, by the other end
    edges: pa.Table  # (E rows) src, dst

    def other_ends(self, ids: pa.Array) -> pa.Array:
        """For each of ``ids`` the distinct other ends of its edges, sorted, or null: (n,) lists of text."""
        row = pa.concat_arrays([pc.index_in(self._column(end), value_set=ids) for end in self.ends])
        other = pa.concat_arrays([self._column(OTHER_END[end]) for end in self.ends])
        row, other = row.drop_null(), other.filter(row.is_valid())
        names, name = np.unique(other.to_numpy(zero_copy_only=False), return_inverse=True)
        width = max(len(names), 1)
        pairs = np.unique(row.to_numpy().astype(np.int64) * width + name)
        lengths = np.bincount(pairs // width, minlength=len(ids))
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        members = pa.array(names[pairs % width].tolist(), pa.string())
        return pa.ListArray.from_arrays(offsets, members, mask=pa.array(lengths == 0))

    def about(self, ids: pa.Array | None) -> dict[str, Any]:
        """What became of the edges; "unused" are those that describe none of ``ids``."""
        used: NDArray[np.bool_] = np.zeros(self.edges.num_rows, dtype=np.bool_)
        for end in self.ends:
            used |= mask_of(pc.is_in(self._column(end), value_set=ids))
        unused = int((~used).sum())
        return {"describes": self.describes, "ends": list(self.ends), "edges": len(used), "unused": unused}

    def _column(self, end: str) -> pa.Array:
        return whole_array(self.edges[end])


def relations_of(
    edges: pa.Table | None, known: Mapping[str, pa.Array], told: Mapping[str, str]
) -> list[Relation]:
    """What each relation describes, by name.

    A relation describes items or users, whichever make up the greater share of the distinct ids of its
    src, if that is ``KNOWN`` or more, else of its dst; on a tie (numbers may be both) items. Where both
    ends are of that kind, as with friends, each describes the other.

    Args:
        edges: src, relation, dst, all text; None for none.
        known: "items" and "users" -> their ids.
        told: relation -> "items", "users" or "ignore", which is then not guessed.

    Raises:
        DataError: ``told`` names a relation that is not there, or something else than these three.
    """
    names = sorted(set(edges["relation"].to_pylist())) if edges else []
    _check_told(told, names)
    return [_relation(name, edges, known, told.get(name)) for name in names]


def with_relations(table: pa.Table, role: str, relations: list[Relation]) -> pa.Table:
    """The table of "items" or "users" with a column of tags for each relation that describes it.

    Raises:
        DataError: a relation is called like a column.
    """
    ids = whole_array(table[ROLES[role]])
    for relation in relations:
        if relation.describes != role:
            continue
        if relation.name in table.column_names:
            raise DataError(
                f"relation {relation.name!r} is called like a column of the {role}",
                where="edges",
                fix=f'Rename one, or say {relation.name} = "{IGNORE}" under [edges] in the schema file.',
            )
        table = table.append_column(relation.name, relation.other_ends(ids))
    return table


def _relation(name: str, edges: pa.Table, known: Mapping[str, pa.Array], told: str | None) -> Relation:
    mine = edges.filter(pc.equal(edges["relation"], name)).select(["src", "dst"])
    if told == IGNORE:
        return Relation(name, IGNORE, (), mine)
    roles = [told] if told else list(ROLES)
    shares = {(end, role): _share_known(mine[end], known[role]) for end in OTHER_END for role in roles}
    src_known = [key for key, share in shares.items() if key[0] == "src" and share >= KNOWN]
    end, role = max(src_known or shares, key=shares.__getitem__)  # the first of equals
    if told is None and shares[end, role] < KNOWN:
        return Relation(name, NOTHING, (), mine)
    both = shares[OTHER_END[end], role] >= KNOWN
    return Relation(name, role, ("src", "dst") if both else (end,), mine)


def _share_known(end: pa.ChunkedArray, ids: pa.Array) -> float:
    return float(pc.mean(pc.is_in(pc.unique(end), value_set=ids)).as_py())


def _check_told(told: Mapping[str, str], names: list[str]) -> None:
    for name, role in told.items():
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            guess = f"Did you mean {close[0]!r}? " if close else ""
            raise DataError(
                f"the schema names relation {name!r}, which is not there",
                where="schema, [edges]",
                fix=f"{guess}The relations are {', '.join(names) or 'none'}.",
            )
        if role not in (*ROLES, IGNORE):
            raise DataError(
                f"relation {name!r} describes {role!r}",
                where="schema, [edges]",
                fix=f"Say {', '.join(ROLES)} or {IGNORE}.",
            )
