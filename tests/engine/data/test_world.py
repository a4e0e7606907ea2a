"""The made-up world: the same each time, whole in pieces, long-tailed, and prepared like any data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.data.dataset import Dataset
from engine.data.sources import world
from engine.data.sources.world import World
from jobs.prepare import prepare

SMALL = World(n_users=500, n_items=1000, events_per_user=12, clusters=5)


def test_is_the_same_each_time() -> None:
    first, second = (pa.concat_tables(SMALL.events()) for _ in range(2))
    assert first.equals(second)
    assert not first.equals(pa.concat_tables(World(500, 1000, 12, 5, seed=1).events()))


def test_tastes_and_tails() -> None:
    events = pa.concat_tables(SMALL.events()).to_pandas()
    item = events["item_id"].str[1:].astype(int)
    assert not events.duplicated(["user_id", "item_id"]).any()
    liked = events[events["rating"] >= 4].assign(cluster=item % 5)
    shares = liked.groupby("user_id")["cluster"].value_counts(normalize=True).groupby("user_id").max()
    assert shares.mean() > 0.6  # a fifth, if there were no tastes
    counts = np.sort(np.bincount(item, minlength=1000))[::-1]
    assert counts[:100].sum() > 0.25 * counts.sum()
    assert events.groupby("user_id")["timestamp"].is_monotonic_increasing.all()


def test_is_written_in_pieces_and_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "PIECE", 200)
    SMALL.write(tmp_path / "raw")
    assert len(list((tmp_path / "raw").glob("events-*.parquet"))) == 3
    files = {f"{role}s": tmp_path / "raw" / f"{role}s.parquet" for role in ("item", "user")}
    prepare(interactions=tmp_path / "raw" / "events-*.parquet", out=tmp_path / "data", **files)
    dataset = Dataset.load(tmp_path / "data")
    assert (dataset.n_users, dataset.n_items) == (500, 1000)
    assert dataset.item_kinds == {"genre": "category", "year": "number"}
