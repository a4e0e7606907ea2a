"""Reads MovieLens-100k as GroupLens and as RecBole lay it out, into the same three tables.

Knows nothing of where the files come from.
"""

from __future__ import annotations

import csv
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
_EVENT_COLUMNS = ["user_id", "item_id", "rating", "timestamp"]
_ITEM_COLUMNS = ["item_id", "dated_title", "released", "video_released", "url", *_GENRES]
_USER_COLUMNS = ["user_id", "age", "gender", "occupation", "zip_code"]


def read_grouplens(read: Read) -> Tables:
    """u.data, u.item and u.user, as GroupLens publishes them (Latin-1, no headers)."""
    events = _texts(read("u.data"), "\t", _EVENT_COLUMNS)
    raw = _texts(read("u.item"), "|", _ITEM_COLUMNS)
    flags = raw[_GENRES].to_numpy() == "1"
    genres = [[g for g, on in zip(_GENRES, row, strict=True) if on] for row in flags]
    users = _texts(read("u.user"), "|", _USER_COLUMNS)
    return _events(events), _items(raw["item_id"], raw["dated_title"], genres), _users(users)


def read_recbole(read: Read) -> Tables:
    """ml-100k.inter, .item and .user: UTF-8, tab-separated, headers such as ``user_id:token``."""
    events, raw, users = (_texts(read(name), "\t") for name in RECBOLE_FILES)
    dated = raw["movie_title"] + " (" + raw["release_year"] + ")"
    genres = [text.split() for text in raw["class"]]
    return _events(events), _items(raw["item_id"], dated, genres), _users(users)


def _texts(contents: bytes, separator: str, names: list[str] | None = None) -> pd.DataFrame:
    """A table of texts: nothing is a number, a missing value or a quote yet."""
    table = pd.read_csv(
        io.BytesIO(contents),
        sep=separator,
        names=names,
        encoding="latin-1" if names else "utf-8",
        dtype=str,
        keep_default_na=False,
        quoting=csv.QUOTE_NONE,
    )
    return table.rename(columns=lambda name: name.split(":")[0])


def _events(raw: pd.DataFrame) -> pd.DataFrame:
    whole = {column: raw[column].astype("float64").astype("int64") for column in ("rating", "timestamp")}
    return raw[["user_id", "item_id"]].assign(**whole)


def _users(raw: pd.DataFrame) -> pd.DataFrame:
    return raw[_USER_COLUMNS].assign(age=raw["age"].astype("int64"))


def _items(item_id: pd.Series, dated: pd.Series, genres: list[list[str]]) -> pd.DataFrame:
    """Titles without their year; the one nameless film is called "unknown" by both (one misspells it)."""
    matches = [_DATED_TITLE.match(text.strip()) for text in dated]
    return pd.DataFrame(
        {
            "item_id": item_id,
            "title": [m["title"] if m else "unknown" for m in matches],
            "year": pd.array([int(m["year"]) if m else None for m in matches], dtype="Int64"),
            "genres": genres,
        }
    )
