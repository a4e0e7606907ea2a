"""The stream of users: the steps as from memory, each user once, resumable anywhere, in bounded memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import engine.data.writing
from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.pieces import pieces_of, read_piece, read_users
from engine.data.sources.checkerboard import checkerboard
from engine.learning.batches import Batch
from engine.learning.experiment import Experiment, set_up
from engine.learning.setup import build_model, build_training
from jobs.prepare import prepare
from jobs.training.shares import from_row
from jobs.training.stream import Source, Streamed, rows_of_window
from tests.small import SMALL


@pytest.fixture(scope="module")
def pieces_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkerboard in two files of several pieces of 16 users."""
    folder, tables = tmp_path_factory.mktemp("pieces") / "data", checkerboard()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.data.writing, "PIECE_USERS", 16)
        prepare(
            interactions=tables.interactions,
            users=tables.users,
            items=tables.items,
            out=folder,
            shard_events=1500,
        )
    return folder


@pytest.fixture(scope="module")
def experiment(pieces_data: Path) -> Experiment:
    cold = ("evaluation.cold_item_share=0.1", "outer.users_per_step=8", "outer.passes=3")
    return set_up(Dataset.load(pieces_data), load_config(None, [*SMALL, *cold]))


def streamed(source: Source, rank: int = 0, world: int = 1, passes: int = 0, steps: int = 0) -> Streamed:
    """What a worker would get through Ray Data, which keeps the order and deals rows in turn."""
    todo = source.instructions(passes, steps)
    rows = (row for window, done in todo for row in rows_of_window(source, window, done, world))
    return Streamed(row for n, row in enumerate(rows) if n % world == rank)


def assert_same(ours: Batch, theirs: Batch) -> None:
    assert ours.users.tolist() == theirs.users.tolist()
    assert list(ours.user_ids) == list(theirs.user_ids)
    assert (ours.fold, ours.share, ours.step_users) == (theirs.fold, theirs.share, theirs.step_users)
    for name in ("start", "item_row", "signal", "timestamp"):
        np.testing.assert_array_equal(getattr(ours.histories, name), getattr(theirs.histories, name))
    np.testing.assert_allclose(ours.user_x, theirs.user_x, atol=1e-6)


def test_pieces_are_the_data_set(pieces_data: Path) -> None:
    pieces, dataset = pieces_of(pieces_data), Dataset.load(pieces_data)
    assert len({piece.path for piece in pieces}) == 2
    assert max(piece.n_users for piece in pieces) == 16
    assert [piece.first for piece in pieces[1:]] == np.cumsum([p.n_users for p in pieces])[:-1].tolist()
    rows = [row for piece in pieces for row in read_piece(piece)["user_id"].to_pylist()]
    assert rows == dataset.user_ids
    some = [pieces[5], pieces[1]]
    expected = [u for p in some for u in dataset.user_ids[p.first : p.first + p.n_users]]
    assert read_users(pieces_data, some)["user_id"].to_pylist() == expected


@pytest.mark.parametrize("world", [1, 3])
def test_where_one_window_holds_everyone_the_steps_are_those_from_memory(
    experiment: Experiment, pieces_data: Path, world: int
) -> None:
    source = Source.of(experiment, pieces_data)
    for rank in range(world):
        memory = build_training(experiment, build_model(experiment), rank=rank, world=world).batches
        stream = streamed(source, rank, world)
        for pass_ in range(3):
            pairs = zip(stream.steps(pass_, 0), memory.steps(pass_, 0), strict=True)
            for ours, theirs in pairs:
                assert_same(ours, theirs)


@pytest.mark.parametrize("world", [1, 2, 5])
def test_each_user_is_seen_by_one_worker_once_a_pass(
    experiment: Experiment, pieces_data: Path, world: int
) -> None:
    source = replace(Source.of(experiment, pieces_data), window_users=50)
    workers = [streamed(source, rank, world) for rank in range(world)]
    orders = []
    for pass_ in range(2):
        shares = [list(worker.steps(pass_, 0)) for worker in workers]
        assert len({len(steps) for steps in shares}) == 1
        assert all(len({batch.fold for batch in step}) == 1 for step in zip(*shares, strict=True))
        seen = [user for steps in shares for batch in steps for user in batch.users.tolist()]
        assert sorted(seen) == list(range(len(experiment.split.train)))
        orders.append(seen)
    assert orders[0] != orders[1]


def test_steps_do_not_depend_on_the_number_of_workers(experiment: Experiment, pieces_data: Path) -> None:
    source = replace(Source.of(experiment, pieces_data), window_users=50)
    alone = list(streamed(source).steps(0, 0))
    shares = [list(streamed(source, rank, 3).steps(0, 0)) for rank in range(3)]
    for step, parts in zip(alone, zip(*shares, strict=True), strict=True):
        together = np.empty(len(step.users), np.int64)
        for part in parts:
            together[part.share] = part.users
        assert together.tolist() == step.users.tolist()


def test_it_goes_on_anywhere_without_reading_what_is_done(experiment: Experiment, pieces_data: Path) -> None:
    source = replace(Source.of(experiment, pieces_data), window_users=50)
    undisturbed = streamed(source)
    assert list(undisturbed.steps(0, 0))
    whole = list(undisturbed.steps(1, 0))
    n_steps = len(whole)
    for done in (0, 1, n_steps - 1, n_steps):
        resumed = streamed(source, passes=1, steps=done)
        rest = list(resumed.steps(1, done))
        assert len(rest) == len(whole) - done
        for ours, theirs in zip(rest, whole[done:], strict=True):
            assert_same(ours, theirs)
        assert len(list(resumed.steps(2, 0))) > 0
    first = next(source.instructions(1, n_steps - 1))[0]
    assert first.number > 0, "windows that are done are not read again"
    assert list(source.instructions(3, 0)) == []


def test_a_stream_at_another_place_is_noticed(experiment: Experiment, pieces_data: Path) -> None:
    source = Source.of(experiment, pieces_data)
    with pytest.raises(RuntimeError, match=r"the stream is at \(0, 0\), training at \(0, 2\)"):
        next(streamed(source).steps(0, 2))


def test_more_workers_than_users_in_a_step(experiment: Experiment, pieces_data: Path) -> None:
    source = replace(Source.of(experiment, pieces_data), users_per_step=1)
    window, _ = next(source.instructions(0, 0))
    rows = list(rows_of_window(source, window, 0, 2))
    nobody = [share.batch for share in from_row(rows[1])]
    assert {len(batch.users) for batch in nobody} == {0}
    assert {batch.user_x.shape for batch in nobody} == {(0, experiment.user_x.shape[1])}


def test_memory_does_not_grow_with_the_number_of_users(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the users, the same windows: what a pass holds at most stays the same."""
    monkeypatch.setattr(engine.data.writing, "PIECE_USERS", 32)
    peaks = []
    for n_users in (800, 3200):
        folder, tables = tmp_path_factory.mktemp("many") / "data", checkerboard(n_users=n_users)
        prepare(interactions=tables.interactions, users=tables.users, items=tables.items, out=folder)
        assert pq.read_metadata(next(folder.glob("episodes/*"))).num_row_groups == n_users // 32
        told = set_up(Dataset.load(folder), load_config(None, [*SMALL, "outer.passes=1"]))
        stream = streamed(replace(Source.of(told, folder), window_users=128))
        del told
        tracemalloc.start()
        assert sum(len(batch.users) for batch in stream.steps(0, 0)) == n_users * 7 // 10
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
