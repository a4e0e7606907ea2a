"""Reads MovieLens-100k as GroupLens and as RecBole lay it out, into the same three tables.

Knows nothing of where the files come from.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pandas as pd

Read = Callable[[str], bytes]  # the contents of a file of the data set, by name
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]  # interactions, items, users

GROUPLENS_FILES = ("u.data", "u.item", "u.user")
RECBOLE_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")

_GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
_DATED_TITLE = re.compile(r"^(?P<title>.*?)\s*\((?P<year>\d{4})\)(?:\s*\(V\))?$")  # (V): made for video
_USER_COLUMNS = ["user_id", "age", "gender", "occupation", "zip_code"]


def read_grouplens(read: Read) -> Tables:
    """u.data, u.item and u.user, as GroupLens publishes them."""
    events = pd.read_csv(
        io.BytesIO(read("u.data")), sep="\t", names=["user_id", "item_id", "rating", "timestamp"]
    )
    columns = ["item_id", "dated_title", "released", "video_released", "url", *_GENRES]
    raw = pd.read_csv(
        io.BytesIO(read("u.item")), sep="|", names=columns, encoding="latin-1", dtype={"dated_title": str}
    )
    flags = raw[_GENRES].to_numpy() == 1
    genres = [[g for g, on in zip(_GENRES, row, strict=True) if on] for row in flags]
    users = pd.read_csv(
        io.BytesIO(read("u.user")), sep="|", names=_USER_COLUMNS, dtype={"zip_code": str, "user_id": str}
    )
    return _events(events), _items(raw["item_id"], raw["dated_title"], genres), users


def read_recbole(read: Read) -> Tables:
    """ml-100k.inter, .item and .user: tab-separated, headers such as ``user_id:token``."""
    events = _recbole_table(read("ml-100k.inter"))
    raw = _recbole_table(read("ml-100k.item"))
    dated = raw["movie_title"] + " (" + raw["release_year"] + ")"
    users = _recbole_table(read("ml-100k.user"))[_USER_COLUMNS].astype({"age": "int64"})
    return (
        _events(events.astype({"rating": "float64", "timestamp": "float64"})),
        _items(raw["item_id"], dated, [text.split() for text in raw["class"]]),
        users,
    )


def _recbole_table(contents: bytes) -> pd.DataFrame:
    table = pd.read_csv(io.BytesIO(contents), sep="\t", dtype=str, keep_default_na=False, quoting=3)
    return table.rename(columns=lambda name: name.split(":")[0])


def _events(raw: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": raw["user_id"].astype(str),
            "item_id": raw["item_id"].astype(str),
            "rating": raw["rating"].astype("int64"),
            "timestamp": raw["timestamp"].astype("int64"),
        }
    )


def _items(item_id: pd.Series, dated: pd.Series, genres: list[list[str]]) -> pd.DataFrame:
    """Titles without their year; the one nameless film is called "unknown" by both (one misspells it)."""
    matches = [_DATED_TITLE.match(text.strip()) for text in dated]
    return pd.DataFrame(
        {
            "item_id": item_id.astype(str),
            "title": [m["title"] if m else "unknown" for m in matches],
            "year": pd.array([int(m["year"]) if m else None for m in matches], dtype="Int64"),
            "genres": genres,
        }
    )
