"""A data set is there whole or not at all, says what is wrong with it, and is known by its contents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.dataset import EPISODES, ITEMS, MANIFEST, Dataset
from engine.data.fingerprint import hash_table
from engine.data.shards import episode_rows
from engine.data.signals import build_signals
from engine.data.writing import Contents, write_dataset
from engine.errors import DataError

ABOUT = {"dated_share": 1.0}


def shards() -> Iterator[tuple[int, pa.Table]]:
    events = {"user_row": [0, 0, 1], "item_row": [1, 0, 1], "signal": [0, 1, 1], "timestamp": [1.0, 2.0, 3.0]}
    rows = episode_rows(pa.table(events), pa.array(["u", "v"]))
    yield 1, rows.slice(1)
    yield 0, rows.slice(0, 1)


def contents() -> Contents:
    return Contents(
        items=pa.table({"item_id": ["a", "b"], "size": [1.5, None], "page": ["http://a", "http://b"]}),
        users=pa.table({"user_id": ["u", "v"]}),
        edges=None,
        signals=build_signals("rating", np.array([1.0, 5.0]), np.array([1, 2]), ()),
        item_kinds={"size": "number", "page": "ignore"},
        user_kinds={},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data", shards(), contents(), ABOUT)
    return tmp_path / "data"


def edit(folder: Path, **entries: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **entries}))


def test_what_was_written_is_read(folder: Path):
    data = Dataset.load(folder)
    assert data.user_ids == ["u", "v"]
    assert data.item_ids == ["a", "b"]
    assert data.histories.start.tolist() == [0, 2, 3]
    assert data.histories.item_row.tolist() == [1, 0, 1]
    assert data.histories.timestamp.tolist() == [1, 2, 3]
    assert data.item_kinds == {"size": "number"}
    assert data.items.column_names == ["item_id", "size", "page"]
    assert data.signals == contents().signals
    assert data.dated
    assert sorted(p.name for p in (folder / EPISODES).iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_nothing_half_made_is_left(tmp_path: Path):
    def interrupted() -> Iterator[tuple[int, pa.Table]]:
        yield next(shards())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "data", interrupted(), contents(), ABOUT)
    assert not list(tmp_path.iterdir())


def test_an_older_data_set_survives_a_failed_attempt_and_is_replaced_by_a_good_one(folder: Path):
    def failing() -> Iterator[tuple[int, pa.Table]]:
        raise OSError("disk full")
        yield

    with pytest.raises(DataError, match="disk full"):
        write_dataset(folder, failing(), contents(), ABOUT)
    assert Dataset.load(folder).n_users == 2
    write_dataset(folder, shards(), contents(), {**ABOUT, "note": "new"})
    assert Dataset.load(folder).manifest["note"] == "new"
    assert [p.name for p in folder.parent.iterdir()] == ["data"]


def test_other_folders_are_not_overwritten(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="will not overwrite"):
        write_dataset(tmp_path, shards(), contents(), ABOUT)
    with pytest.raises(DataError, match="will not overwrite"):
        write_dataset(tmp_path / "thesis.txt", shards(), contents(), ABOUT)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_what_is_no_data_set_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"no such data set .*firstclick prepare"):
        Dataset.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a prepared data set"):
        Dataset.load(tmp_path)
    (tmp_path / MANIFEST).write_text("{half")
    with pytest.raises(DataError, match="not a prepared data set"):
        Dataset.load(tmp_path)


def test_a_newer_format_is_refused(folder: Path):
    edit(folder, format_version=99, created_by="firstclick 9")
    with pytest.raises(DataError, match=r"has format 99.*firstclick 9"):
        Dataset.load(folder)


def test_missing_parts_are_told(folder: Path):
    (folder / ITEMS).unlink()
    with pytest.raises(DataError, match="is broken"):
        Dataset.load(folder)


@pytest.mark.parametrize("part", [ITEMS, f"{EPISODES}/part-00000.parquet"])
def test_a_changed_file_is_noticed(folder: Path, part: str):
    table = pq.read_table(folder / part)
    pq.write_table(table.slice(1), folder / part)
    with pytest.raises(DataError, match="has changed since it was prepared"):
        Dataset.load(folder)


def test_table_hashes_see_values_and_not_layout():
    values = {
        "a": ["x", None, "yz"],
        "b": [1, 2, None],
        "c": [["p"], None, ["q", "r"]],
        "d": [0.5, None, 1.0],
    }
    table = pa.table(values)
    halves = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    narrow = table.set_column(1, "b", table["b"].cast(pa.int8())).set_column(
        0, "a", table["a"].cast("large_string")
    )
    assert hash_table(halves) == hash_table(narrow) == hash_table(table)
    for column, other in (("a", ["xy", None, "z"]), ("c", [["p", "q"], None, ["r"]]), ("d", [0.5, 0.0, 1.0])):
        assert hash_table(pa.table({**values, column: other})) != hash_table(table)
