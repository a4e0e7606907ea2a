"""MovieLens-100k: from a folder, the cache, or wherever it can be fetched; the same tables from each.

Knows nothing of preparing them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from engine.data.sources import SourceTables
from engine.data.sources.fetch import Archive, cache_folder, cached_or_fetched, fetch_url, fetch_wheel
from engine.data.sources.layouts import (
    GROUPLENS_FILES,
    RECBOLE_FILES,
    Read,
    Tables,
    read_grouplens,
    read_recbole,
)
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
