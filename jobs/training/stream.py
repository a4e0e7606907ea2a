"""Streams a prepared data set to the workers of Ray Train, step by step, through Ray Data.

A Ray task reads a window of users, shuffles it, and sends each worker its share of every step, so that each
user is read once a pass and seen by one worker. A task never holds more than a window, a worker some steps.
Ray Data keeps the order, so every run of a seed sees the same steps, and a resumed one goes on at the next.
Knows nothing of models: whoever deals users out need not import torch.

Shapes: U users of the data set, P pieces, N catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from numpy.typing import NDArray
from ray.data import ExecutionOptions, TaskPoolStrategy
from ray.train import DataConfig, Result

from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.histories import Histories
from engine.data.pieces import Piece, pieces_of, read_piece, read_users
from engine.data.shards import histories_of
from engine.learning.batches import Batch
from engine.learning.folds import FOLDS
from engine.learning.windows import WINDOW_USERS, Window, fold_counts, steps_in, windows
from jobs.training.shares import STEPS, Share, from_row, to_row

if TYPE_CHECKING:
    from engine.learning.experiment import Experiment

AT_ONCE = 2  # windows read ahead
MAX_BLOCKS = 1000  # of instructions; each block is read by one Ray task


@dataclass(frozen=True)
class Source:
    """What is needed to read training users, wherever that happens; put into the object store once."""

    folder: Path
    pieces: list[Piece]
    number_U: NDArray[np.int32]  # among the training users; -1: none of them
    cold_N: NDArray[np.bool_]  # items whose events nobody learns from
    user_encoder: FeatureEncoder
    seed: int
    passes: int
    users_per_step: int
    n_users: int  # of the training users
    window_users: int = WINDOW_USERS

    @staticmethod
    def of(experiment: Experiment, folder: Path) -> Source:
        number_U = np.full(experiment.dataset.n_users, -1, np.int32)
        number_U[experiment.split.train] = np.arange(len(experiment.split.train))
        config = experiment.config
        return Source(
            folder.resolve(),
            pieces_of(folder),
            number_U,
            experiment.cold_N,
            experiment.user_encoder,
            config.seed,
            config.outer.passes,
            config.outer.users_per_step,
            len(experiment.split.train),
        )

    def instructions(self, passes_done: int, steps_done: int) -> Iterator[tuple[Window, int]]:
        """The windows still to be read, each with the number of its steps that are done."""
        users_PF = fold_counts(self.number_U, np.array([piece.first for piece in self.pieces]))
        for pass_ in range(passes_done, self.passes):
            done = steps_done if pass_ == passes_done else 0
            found = list(windows(self.seed, pass_, users_PF, self.users_per_step, self.window_users))
            later = [w.first for w in found[1:]] + [np.inf]
            yield from (
                (w, max(0, done - w.first)) for w, end in zip(found, later, strict=True) if end > done
            )

    def read(self, window: Window) -> tuple[list[NDArray[np.int64]], Batch]:
        """The steps of a window, and all its training users, ascending by number, as if one batch."""
        pieces = [self.pieces[number] for number in window.pieces]
        numbers, rows = self.training_users(pieces)
        table = self.features(pieces, rows)
        everyone = Batch(
            numbers,
            table["user_id"].to_pylist(),
            self.histories(pieces, rows),
            self.user_encoder.transform(table),
            0,
            slice(None),
            len(numbers),
        )
        return steps_in(window, numbers, self.users_per_step, self.seed), everyone

    def training_users(self, pieces: list[Piece]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those of some pieces, ascending: their numbers, and their rows of all pieces together, (B,)."""
        numbers = np.concatenate([self.number_U[p.first : p.first + p.n_users] for p in pieces])
        rows = np.argsort(numbers, kind="stable")[np.count_nonzero(numbers < 0) :]
        return numbers[rows].astype(np.int64), rows

    def histories(self, pieces: list[Piece], rows: NDArray[np.int64]) -> Histories:
        """What they did, less the events with cold items."""
        return histories_of([read_piece(piece) for piece in pieces]).without(self.cold_N).take(rows)

    def features(self, pieces: list[Piece], rows: NDArray[np.int64]) -> pa.Table:
        """Their ids and raw features."""
        return read_users(self.folder, pieces).take(pa.array(rows))


class Stream:
    """The data set that ``TorchTrainer`` is given: called whenever workers start, at the position of the last
    checkpoint of the run."""

    def __init__(self, source: Source, run_folder: str) -> None:
        self._source, self._run_folder = source, run_folder

    def __call__(self) -> ray.data.Dataset:
        todo = [
            {"pass": w.pass_, "number": w.number, "pieces": list(w.pieces), "first": w.first, "done": done}
            for w, done in self._source.instructions(*position(self._run_folder))
        ]
        nothing = {"pass": -1, "number": 0, "pieces": [0], "first": 0, "done": 0}
        return ray.data.from_items(todo or [nothing], override_num_blocks=min(max(len(todo), 1), MAX_BLOCKS))


def position(run_folder: str) -> tuple[int, int]:
    """Passes done, and steps done of the next, at the last checkpoint of a run."""
    try:
        metrics = Result.from_path(run_folder).metrics or {}
    except RuntimeError:  # no such run yet
        metrics = {}
    return metrics.get("passes_done", 0), metrics.get("steps_done", 0)


class StepShares(DataConfig):
    """Cuts each step of a :class:`Stream` into one share for each worker."""

    def __init__(self, source: ray.ObjectRef[Source]) -> None:
        super().__init__(execution_options=ExecutionOptions(preserve_order=True), enable_shard_locality=False)
        self._source = source

    def configure(
        self, datasets: dict[str, ray.data.Dataset], world_size: int, *args: Any, **more: Any
    ) -> Any:
        cut = {name: self._cut(dataset, world_size) for name, dataset in datasets.items()}
        return super().configure(cut, world_size, *args, **more)

    def _cut(self, todo: ray.data.Dataset, world: int) -> ray.data.Dataset:
        """Rows of shares, of worker 0, 1, ... in turn: Ray deals blocks of one row in this order.

        Reading takes no CPU of its own, for the workers may have been given all there are.
        """
        shares = todo.map_batches(
            partial(_shares, self._source, world),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=0,
            compute=TaskPoolStrategy(size=AT_ONCE),
        )
        shares.context.target_max_block_size = 1  # byte: a row a block
        shares.context.enable_progress_bars = False
        return shares


def _shares(source: ray.ObjectRef[Source], world: int, todo: pa.Table) -> Iterator[pa.Table]:
    """Read one window; STEPS steps a row, one row a worker."""
    told = {name: column[0].as_py() for name, column in zip(todo.column_names, todo.columns, strict=True)}
    if told["pass"] < 0:
        return
    window = Window(told["pass"], told["number"], tuple(told["pieces"]), told["first"])
    yield from rows_of_window(ray.get(source), window, told["done"], world)


def rows_of_window(source: Source, window: Window, done: int, world: int) -> Iterator[pa.Table]:
    """A window's steps, less those that are done, as rows of shares of worker 0, 1, ... in turn."""
    steps, everyone = source.read(window)
    for low in range(done, len(steps), STEPS):
        some = list(enumerate(steps[low : low + STEPS], start=window.first + low))
        for rank in range(world):
            share = slice(rank, None, world)
            mine = [Share(window.pass_, step, _batch(everyone, users, share)) for step, users in some]
            yield to_row(mine, rank, world)


def _batch(everyone: Batch, users: NDArray[np.int64], share: slice) -> Batch:
    rows = np.searchsorted(everyone.users, users[share])
    return replace(
        everyone,
        users=users[share],
        user_ids=[everyone.user_ids[row] for row in rows],
        histories=everyone.histories.take(rows),
        user_x=everyone.user_x[rows],
        fold=int(users[0]) % FOLDS,
        share=share,
        step_users=len(users),
    )


class Streamed:
    """The batches of one worker, out of its part of the stream (``engine.learning.batches.Batches``)."""

    def __init__(self, rows: Iterator[pa.Table]) -> None:
        self._shares = (share for row in rows for share in from_row(row))
        self._waiting: Share | None = None  # of the next pass, met at the end of the last

    def steps(self, pass_: int, first: int) -> Iterator[Batch]:
        step = first
        while (share := self._waiting or next(self._shares, None)) is not None:
            self._waiting = share if share.pass_ > pass_ else None
            if self._waiting is not None:
                break
            if (share.pass_, share.step) != (pass_, step):
                raise RuntimeError(f"the stream is at {share[:2]}, training at {(pass_, step)}")
            yield share.batch
            step += 1
