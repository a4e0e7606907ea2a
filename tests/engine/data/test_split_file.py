from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from engine.data.split_file import read_split
from engine.errors import DataError

USERS, ITEMS = ["1", "2", "3"], ["a", "b", "c"]
ROWS = [
    (1, "a", "meta_training"),
    (1, "c", "item_cold_testing"),
    (2, "a", "user_cold_testing"),
    (2, "c", "user_and_item_cold_testing"),
]


def written(folder: Path, rows: list[tuple[int, str, str]]) -> Path:
    path = folder / "split.parquet"
    pd.DataFrame(rows, columns=["user_id", "item_id", "metahin_split"]).to_parquet(path)
    return path


def test_who_and_what_is_cold(tmp_path: Path) -> None:
    split = read_split(written(tmp_path, ROWS), USERS, ITEMS)
    assert split.users_U.tolist() == [False, True, False]
    assert split.items_N.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, "b", "holiday"), "unknown scenario 'holiday'"),
        ((9, "b", "warm"), "user '9' is not in the data set"),
        ((1, "z", "warm"), "item 'z' is not in the data set"),
        ((1, "c", "warm"), "item 'c' is called both cold and warm"),
        ((2, "b", "item-cold"), "user '2' is called both cold and warm"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, row: tuple[int, str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_split(written(tmp_path, [*ROWS, row]), USERS, ITEMS)


def test_other_columns_and_missing_files_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": [1], "item_id": ["a"]}).to_parquet(tmp_path / "two.parquet")
    with pytest.raises(DataError, match="columns user_id, item_id"):
        read_split(tmp_path / "two.parquet", USERS, ITEMS)
    with pytest.raises(DataError, match="cannot read the split"):
        read_split(tmp_path / "none.parquet", USERS, ITEMS)


def test_the_published_split_of_movielens_1m(shared_data: Path) -> None:
    folder = shared_data / "ml-1m"
    interactions = pd.read_parquet(folder / "interactions.parquet")
    users, items = ([str(i) for i in sorted(interactions[c].unique())] for c in ("user_id", "item_id"))
    split = read_split(folder / "metahin_split.parquet", users, items)
    assert (split.users_U.sum(), len(users)) == (1208, 6040)
    assert (split.items_N.sum(), len(items)) == (740, 3706)
