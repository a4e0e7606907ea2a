"""Data to try firstclick on: MovieLens-100k, and a small made-up world whose answer is known.

Gives pandas tables of the same columns as the input contract. Knows nothing of preparing them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engine.data.fetch import Archive, cache_folder, cached_or_fetched, fetch_url, fetch_wheel
from engine.data.movielens import GROUPLENS_FILES, RECBOLE_FILES, Read, Tables, read_grouplens, read_recbole
from engine.errors import DataError

MOVIELENS_NOTICE = (
    "MovieLens-100k is by the GroupLens research group at the University of Minnesota. It may be used for "
    "research, not for revenue-bearing purposes, and not be redistributed without permission. Cite: "
    "F. M. Harper and J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015."
)
GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"

ML_100K_SIZES = (100_000, 1_682, 943)
ML_100K_ARCHIVES = (
    Archive(
        "ml-100k.zip",
        "files.grouplens.org",
        "md5",
        "0e33842e24a9c977be4e0107933c0723",
        lambda: fetch_url(GROUPLENS_URL),
    ),
    Archive(
        "recbole-1.2.1-py3-none-any.whl",
        "the pip package recbole 1.2.1",
        "sha256",
        "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        lambda: fetch_wheel("recbole==1.2.1"),
    ),
)


@dataclass(frozen=True)
class SourceTables:
    """What ``prepare`` takes, in memory."""

    interactions: pd.DataFrame  # user_id, item_id, rating, timestamp
    items: pd.DataFrame  # item_id and features
    users: pd.DataFrame  # user_id and features
    origin: str  # for people: where the data come from


def movielens_100k(
    folder: str | Path | None = None,
    cache: Path | None = None,
    archives: Sequence[Archive] = ML_100K_ARCHIVES,
) -> SourceTables:
    """MovieLens-100k: 943 users, 1,682 films, 100,000 ratings from 1 to 5. Show ``MOVIELENS_NOTICE`` with it.

    Items have title, year and genres (a list); users age, gender, occupation and zip_code. Users and items
    come in ascending order of id. The tables are the same whichever source they come from.

    Args:
        folder: where the files are, in GroupLens' layout or in RecBole's. Without it the data are
            looked for in the cache, then fetched from GroupLens, then taken from the pip package recbole.
        cache: default ``cache_folder() / "ml-100k"``.
        archives: where to look without a folder, in this order.

    Raises:
        DataError: the folder has neither layout, or nothing could be fetched.
    """
    if folder is not None:
        return _from_folder(Path(folder))
    fix = f"Download {GROUPLENS_URL} by hand, unzip it, and name the folder."
    path = cached_or_fetched(archives, cache or cache_folder() / "ml-100k", fix)
    with zipfile.ZipFile(path) as archive:
        names = {Path(name).name: name for name in archive.namelist() if Path(name).parent.name == "ml-100k"}
        return _tables(set(names), lambda name: archive.read(names[name]), path.name)


def checkerboard(
    n_users: int = 200, n_items: int = 60, events_per_user: int = 12, noise: float = 0.05, seed: int = 0
) -> SourceTables:
    """Two kinds of users and items: even users like even items, odd users odd ones.

    A user's events are distinct items of their kind, rated 5; now and then (``noise``) one of the other kind,
    rated 1. Every user has a few more years and every item a colour, which says its kind for half of
    them; nothing of a user's features says theirs, so that only events can tell.
    """
    rng = np.random.default_rng(seed)
    kind_of_item = np.arange(n_items) % 2
    rows = []
    for user in range(n_users):
        own, other = (rng.permutation(np.flatnonzero(kind_of_item == k)) for k in (user % 2, 1 - user % 2))
        strays = rng.random(events_per_user) < noise
        chosen = np.where(strays, other[:events_per_user], own[:events_per_user])
        start = 1_600_000_000 + 86_400 * user
        rows += [
            (f"u{user}", f"i{item}", 1 if stray else 5, start + 60 * n)
            for n, (item, stray) in enumerate(zip(chosen, strays, strict=True))
        ]
    colours = np.where(rng.random(n_items) < 0.5, np.array(["white", "black"])[kind_of_item], "grey")
    ids = {"item_id": [f"i{i}" for i in range(n_items)], "user_id": [f"u{u}" for u in range(n_users)]}
    return SourceTables(
        pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"]),
        pd.DataFrame({"item_id": ids["item_id"], "colour": colours, "size": rng.integers(1, 100, n_items)}),
        pd.DataFrame({"user_id": ids["user_id"], "age": rng.integers(18, 80, n_users)}),
        "a made-up checkerboard",
    )


def _from_folder(folder: Path) -> SourceTables:
    inner = folder / "ml-100k"
    place = inner if inner.is_dir() else folder
    names = {p.name for p in place.iterdir()} if place.is_dir() else set()
    return _tables(names, lambda name: (place / name).read_bytes(), str(folder))


def _tables(names: set[str], read: Read, place: str) -> SourceTables:
    for files, layout in ((GROUPLENS_FILES, read_grouplens), (RECBOLE_FILES, read_recbole)):
        if names.issuperset(files):
            return _sorted(_checked(layout, read, place), place)
    raise DataError(
        "no MovieLens-100k here",
        where=place,
        fix=f"The folder should hold {', '.join(GROUPLENS_FILES)} or {', '.join(RECBOLE_FILES)}.",
    )


def _checked(layout: Callable[[Read], Tables], read: Read, place: str) -> Tables:
    try:
        tables = layout(read)
        what = f"has {', '.join(f'{len(t):,}' for t in tables)} rows"
    except (ValueError, KeyError, TypeError, OSError) as error:
        tables, what = None, f"cannot be read: {error}"
    if tables is None or tuple(map(len, tables)) != ML_100K_SIZES:
        wanted = "100,000 ratings, 1,682 items and 943 users"
        raise DataError(
            f"MovieLens-100k {what}", where=place, fix=f"It should have {wanted}: fetch it again."
        )
    return tables


def _sorted(tables: Tables, place: str) -> SourceTables:
    def number(column: pd.Series) -> pd.Series:
        return column.astype("int64")

    events, items, users = tables
    return SourceTables(
        events.sort_values(["user_id", "timestamp", "item_id"], ignore_index=True, key=number),
        items.sort_values("item_id", ignore_index=True, key=number),
        users.sort_values("user_id", ignore_index=True, key=number),
        f"MovieLens-100k from {place}",
    )
