"""Guesses what a table holds and which of its columns the contract means, from names and a look at cells.

A guess is shown to a person, who confirms it with ``--column`` or a schema file; nothing is read by it
unasked. Knows nothing of files' contents beyond a first piece.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product

import pyarrow as pa

from engine.data.signals import MAX_EVENT_NAMES
from engine.data.tables.columns import to_names, to_numbers, to_timestamps
from engine.data.tables.schema import ROLE_COLUMNS
from engine.errors import DataError


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


USER_WORDS = _words(
    "user person customer client member visitor account reviewer buyer reader listener viewer subscriber "
    "player profile patient student"
)
ITEM_WORDS = _words(
    "item product movie film article content track song artist book news sku asin isbn video post game "
    "business listing course recipe restaurant offer document doc place poi"
)
EVENT_FILES = _words(
    "interaction interactions event events rating ratings click clicks view views purchase purchases order "
    "orders transaction transactions log logs history listens plays reviews feedback likes inter"
)
EDGE_FILES = _words("edges edge kg graph friends friend links relations triples social network")
ID_WORDS = {"user_id": USER_WORDS, "item_id": ITEM_WORDS}
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "rating": _words("rating ratings stars star_rating score grade overall rate"),
    "value": _words(
        "value count counts listen_count listens plays play_count playcount quantity qty weight amount "
        "duration dwell_time watch_time frequency strength"
    ),
    "event": _words(
        "event event_type event_name action action_type behaviour behavior behaviour_type behavior_type "
        "interaction interaction_type activity verb type kind"
    ),
    "timestamp": _words(
        "timestamp time_stamp time ts datetime date event_time event_date created_at created occurred_at "
        "rated_at unix_time unix_review_time review_time when"
    ),
    "src": _words("src source head subject from user_1 user1 item_1 item1 node1 from_id source_id"),
    "dst": _words("dst target tail object to friend friend_id user_2 user2 item_2 item2 node2"),
    "relation": _words("relation relation_type predicate rel edge_type edge label type"),
}
ID_ENDINGS = _words("_id _uid _uuid _guid _idx _key _no _nr _number _code _hash _sku _ref _slug")
CLOSE = 0.85  # likeness of a misspelt name
DOUBTFUL = 0.5  # share of cells that a column of numbers or times may have wrong: they are shown as bad rows


def plain(name: str) -> str:
    """A name in small letters with underscores: ``personId`` and ``Person ID`` are ``person_id``."""
    name = re.sub(r":\w+$", "", name.strip())  # "user_id:token"
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"\W+", "_", name).strip("_").lower()


def role_of(file_name: str, names: Iterable[str]) -> str | None:
    """ "interactions", "items", "users", "edges", or None where nothing fits.

    Args:
        file_name: without its ending, such as ``user_artists``.
        names: the table's columns.
    """
    names = list(names)
    fitting = [role for role in ("interactions", "edges", "items", "users") if _fits(role, names)]
    hinted = hinted_role(file_name)
    if hinted in fitting:
        return hinted
    if hinted == "interactions" and _half_fits(names):
        return hinted
    return fitting[0] if fitting else None


def own_names(table: pa.Table, role: str, told: Mapping[str, str]) -> dict[str, str]:
    """Contract name -> the table's own, for columns that neither the contract names nor ``told`` does."""
    taken = {*told.values(), *ROLE_COLUMNS[role]}
    open_names = [name for name in table.column_names if name not in taken]
    present = {*told, *table.column_names}
    guesses: dict[str, str] = {}
    for contract in _order(role):
        if contract in present or _makes_needless(contract, present):
            continue
        candidates = _candidates(contract, role, open_names)
        if contract == "timestamp":
            candidates += _only_moments(table, open_names)
        own = next((c for c in candidates if _can_be(contract, table[c])), None)
        if own is not None:
            guesses[contract] = own
            open_names.remove(own)
            present.add(contract)
    return guesses


def _order(role: str) -> tuple[str, ...]:
    """Names of events go before numbers: where a row has both, the number would count and the name not."""
    ids = tuple(name for name in ROLE_COLUMNS[role] if name not in ("rating", "value", "event", "timestamp"))
    return (*ids, "timestamp", "event", "rating", "value") if role == "interactions" else ids


def _makes_needless(contract: str, present: set[str]) -> bool:
    says = {"event", "rating", "value"}
    return contract in says and bool(says & present)


def _candidates(contract: str, role: str, names: list[str]) -> list[str]:
    """Own names that may stand for a contract's, the likeliest first."""
    known = _known_as(contract, role)
    by_plain = {plain(name): name for name in reversed(names)}
    exact = [by_plain[word] for word in known if word in by_plain]
    longer = [own for name, own in by_plain.items() if name.endswith(_endings(contract))]
    close = [
        by_plain[near]
        for word in dict.fromkeys((contract, *SYNONYMS.get(contract, ())))
        for near in difflib.get_close_matches(word, list(by_plain), 1, CLOSE)
        if len(near) > 4
    ]
    return list(dict.fromkeys([*exact, *longer, *close]))


def _only_moments(table: pa.Table, names: list[str]) -> list[str]:
    """The column of a time type, whatever it is called, where there is one alone."""
    moments = [name for name in names if pa.types.is_timestamp(table[name].type)]
    return moments if len(moments) == 1 else []


def _known_as(contract: str, role: str) -> tuple[str, ...]:
    words = ID_WORDS.get(contract)
    if words is None:
        return SYNONYMS[contract]
    short = ("uid",) if contract == "user_id" else ("iid",)
    alone = ("id",) if ROLE_COLUMNS[role] == (contract,) else ()
    return (*(word + ending for ending, word in product((*ID_ENDINGS, ""), words)), *short, *alone)


@cache
def _endings(contract: str) -> tuple[str, ...]:
    """What a longer name ends with: ``anonymous_visitor_id`` is a visitor's id."""
    return tuple(f"_{word}{end}" for word, end in product(ID_WORDS.get(contract, ()), ID_ENDINGS))


def _can_be(contract: str, column: pa.ChunkedArray) -> bool:
    """Do the cells look like what the contract wants? Few wrong ones are allowed, to be shown later."""
    try:
        if contract == "timestamp":
            return bool(to_timestamps(column)[1].mean() <= DOUBTFUL)
        if contract in ("rating", "value"):
            return bool(to_numbers(column)[2].mean() <= DOUBTFUL)
        if contract == "event":
            return 1 < len(to_names(column).dictionary) <= MAX_EVENT_NAMES
    except (DataError, pa.ArrowException):
        return False
    return not pa.types.is_nested(column.type) and len(column) > 0


def _fits(role: str, names: list[str]) -> bool:
    needed = ("src", "dst") if role == "edges" else ROLE_COLUMNS[role][:2]
    return all(_has(contract, role, names) for contract in needed)


def _half_fits(names: list[str]) -> bool:
    """Are there an id and what was done, or when? The other id is called in a way nobody knows."""
    ids, others = ROLE_COLUMNS["interactions"][:2], ROLE_COLUMNS["interactions"][2:]
    return all(any(_has(c, "interactions", names) for c in some) for some in (ids, others))


def _has(contract: str, role: str, names: list[str]) -> bool:
    return contract in names or bool(_candidates(contract, role, names))


def hinted_role(file_name: str) -> str | None:
    """What a file's name says; "users" and "items" in one name are events."""
    words = set(plain(file_name).split("_"))
    kinds = {
        role
        for role, known in (("users", USER_WORDS), ("items", ITEM_WORDS))
        if words & {*known, *(f"{word}s" for word in known), "people", "catalogue", "catalog"}
    }
    if words & {*EVENT_FILES} or len(kinds) == 2:
        return "interactions"
    if words & {*EDGE_FILES}:
        return "edges"
    return next(iter(kinds), None)
