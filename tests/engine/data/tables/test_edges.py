"""What relations describe, seen from their ends' ids, and the columns they become."""

from __future__ import annotations

import pyarrow as pa
import pytest

from engine.data.tables.edges import relations_of, with_relations
from engine.errors import DataError

ITEMS, USERS = pa.array(["i1", "i2", "i3"]), pa.array(["u1", "u2", "u3"])
KNOWN = {"items": ITEMS, "users": USERS}


def edges(*triples: tuple[str, str, str]) -> pa.Table:
    return pa.table(dict(zip(("src", "relation", "dst"), map(list, zip(*triples, strict=True)), strict=True)))


def column(table: pa.Table, role: str, told: dict[str, str] | None = None) -> dict[str, list[object]]:
    ids = {"items": ("item_id", ITEMS), "users": ("user_id", USERS)}[role]
    described = with_relations(pa.table({ids[0]: ids[1]}), role, relations_of(table, KNOWN, told or {}))
    return {name: described[name].to_pylist() for name in described.column_names[1:]}


def test_a_knowledge_graph_describes_items_from_either_end():
    graph = edges(
        ("i1", "genre", "war"), ("i1", "genre", "art"), ("i1", "genre", "war"), ("i3", "genre", "art"),
        ("Ann", "acts in", "i2"), ("Bob", "acts in", "i2"), ("Bob", "acts in", "i3"),
    )  # fmt: skip
    assert column(graph, "items") == {
        "acts in": [None, ["Ann", "Bob"], ["Bob"]],
        "genre": [["art", "war"], None, ["art"]],
    }
    assert column(graph, "users") == {}


def test_friends_describe_each_other():
    friends = edges(("u1", "friend", "u2"), ("u2", "friend", "u1"), ("u3", "friend", "u1"))
    assert column(friends, "users") == {"friend": [["u2", "u3"], ["u1"], ["u1"]]}
    assert column(friends, "items") == {}


def test_a_user_who_follows_an_item_is_described_by_it():
    assert column(edges(("u2", "follows", "i1")), "users") == {"follows": [None, ["i1"], None]}
    assert column(edges(("u2", "follows", "i1")), "items") == {}


def test_numbers_that_may_be_both_are_items_first_and_users_where_told():
    both = {"items": pa.array(["1", "2"]), "users": pa.array(["1", "2", "3", "4"])}
    graph = edges(("1", "group", "3"), ("2", "group", "4"))

    def describes(told: dict[str, str]) -> tuple[str, tuple[str, ...]]:
        (relation,) = relations_of(graph, both, told)
        return relation.describes, relation.ends

    assert describes({}) == ("items", ("src",))
    assert describes({"group": "users"}) == ("users", ("src", "dst"))
    assert describes({"group": "ignore"}) == ("ignore", ())


def test_edges_that_fit_nothing_are_counted():
    strangers = edges(("x", "likes", "y"), ("u1", "likes", "u2"), ("z", "likes", "x"))
    (relation,) = relations_of(strangers, KNOWN, {})
    assert relation.about(None) == {"describes": "nothing", "ends": [], "edges": 3, "unused": 3}
    (relation,) = relations_of(strangers, KNOWN, {"likes": "users"})
    assert relation.about(USERS) == {"describes": "users", "ends": ["src"], "edges": 3, "unused": 2}
    assert column(strangers, "users", {"likes": "users"}) == {"likes": [["u2"], None, None]}


def test_no_edges_no_relations():
    assert relations_of(None, KNOWN, {}) == []


def test_a_relation_may_not_be_called_like_a_column():
    table = pa.table({"item_id": ITEMS, "genre": ["a", "b", "c"]})
    genre = edges(("i1", "genre", "war"))
    with pytest.raises(DataError, match=r"'genre' is called like a column of the items.*genre = \"ignore\""):
        with_relations(table, "items", relations_of(genre, KNOWN, {}))
    assert with_relations(table, "items", relations_of(genre, KNOWN, {"genre": "ignore"})).equals(table)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"freind": "users"}, r"relation 'freind', which is not there.*Did you mean 'friend'"),
        ({"friend": "people"}, r"'friend' describes 'people'.*Say items, users or ignore"),
    ],
)
def test_mistakes_in_what_is_told(told: dict[str, str], message: str):
    with pytest.raises(DataError, match=message):
        relations_of(edges(("u1", "friend", "u2")), KNOWN, told)
