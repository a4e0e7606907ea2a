"""What tables of events, items, users and edges say together, once each has been read and counted.

``prepare`` makes a data set of it, ``inspect`` shows it. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.data.tables.bad_rows import BadRows, FileTable
from engine.data.tables.columns import whole_array
from engine.data.tables.edges import Relation, relations_of, with_relations
from engine.data.tables.entities import Entities, check_edges, check_entities, no_entities
from engine.data.tables.interactions import Lookup, Tally, ordered_ids
from engine.data.tables.schema import Schema
from engine.data.writing import Contents


@dataclass(frozen=True)
class SideTables:
    """All that is read but the events."""

    items: Entities
    users: Entities
    edges: pa.Table | None
    bad: list[BadRows]


@dataclass(frozen=True)
class Understood:
    """Where everything stands, what is known of it, and what there is to say about it."""

    lookup: Lookup
    contents: Contents
    about: dict[str, Any]  # counts, dated_share, ignored_columns, relations: entries of a manifest


def side_tables(
    given: Mapping[str, Sequence[FileTable]], schema: Schema, on_read: Callable[[str], None]
) -> SideTables:
    """Check the tables of "items", "users" and "edges", those of them that there are.

    Raises:
        DataError: a table lacks what it must have.
    """
    items, users = no_entities("item_id"), no_entities("user_id")
    edges: pa.Table | None = None
    bad_edges: tuple[BadRows, ...] = ()
    if "items" in given:
        items = check_entities(given["items"], "item_id", schema.item_kinds)
        on_read("items")
    if "users" in given:
        users = check_entities(given["users"], "user_id", schema.user_kinds)
        on_read("users")
    if "edges" in given:
        edges, bad_edges = check_edges(given["edges"])
        on_read("edges")
    return SideTables(items, users, edges, [*items.bad, *users.bad, *bad_edges])


def understand(tally: Tally, side: SideTables, schema: Schema) -> Understood:
    """Bring the events' ids and the other tables together.

    Raises:
        DataError: a relation is called like a column, or the schema names one that is not there.
    """
    lookup = _lookup(tally, side)
    relations = _relations(lookup, side, schema)
    contents = _contents(lookup, side, relations)
    about = {**_about(tally, side, contents), "relations": _about_relations(relations, contents)}
    return Understood(lookup, contents, about)


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
            "interactions": dict.fromkeys(tally.unused, "interactions have no features"),
            "items": side.items.ignored,
            "users": side.users.ignored,
        },
    }
