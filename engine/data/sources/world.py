"""A made-up world of any size: tastes, long-tailed popularity, features; written piece by piece.

Deterministic from its seed. Knows nothing of preparing or learning it.

Shapes: U users of a piece, E events, N items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

PIECE = 50_000
"""Users, or items, made at a time."""
COUNTRIES, EVENLY = 20, 20.0
START, HOUR = 1_600_000_000, 3600


@dataclass(frozen=True)
class World:
    """Items belong to clusters, users to two of them, and half-heartedly to all.

    Within its cluster the r-th item is met with a chance in proportion to ``1 / (r + 20)`` (Zipf-Mandelbrot).
    A user's events are 60 % of one cluster, 25 % of a second and 15 % of any, distinct, in order of time.
    What they like they rate 4 or 5, the rest 1 to 4. An item's genre says its cluster in four of five cases;
    a user's country says their first cluster in half.
    """

    n_users: int
    n_items: int
    events_per_user: int = 30
    clusters: int = 40
    seed: int = 0

    def write(self, folder: Path) -> None:
        """Into ``events-*.parquet``, ``items.parquet`` and ``users.parquet``."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, events in enumerate(self.events()):
            pq.write_table(events, folder / f"events-{number:05d}.parquet")
        for name, tables in (("items", self.items()), ("users", self.users())):
            first = next(tables)
            with pq.ParquetWriter(folder / f"{name}.parquet", first.schema) as writer:
                writer.write_table(first)
                for table in tables:
                    writer.write_table(table)

    def events(self) -> Iterator[pa.Table]:
        """Columns user_id, item_id, rating and timestamp."""
        for user_U in _pieces(self.n_users):
            rng = self._rng(0, user_U)
            taste_U2 = self._tastes(user_U)
            user_E = np.repeat(user_U, 2 + rng.poisson(self.events_per_user - 2, len(user_U)))
            kind_E = rng.choice(3, len(user_E), p=[0.6, 0.25, 0.15])
            own_E2, any_E = taste_U2[user_E - user_U[0]], rng.integers(0, self.clusters, len(user_E))
            cluster_E = np.where(kind_E == 2, any_E, np.where(kind_E == 1, own_E2[:, 1], own_E2[:, 0]))
            item_E = self._item(cluster_E, rng.random(len(user_E)))
            rating_E = np.where(kind_E < 2, rng.integers(4, 6, len(user_E)), rng.integers(1, 5, len(user_E)))
            kept = np.unique(user_E * self.n_items + item_E, return_index=True)[1]
            kept.sort()
            time_E = START + HOUR * (user_E % 1000) + 60 * np.arange(len(user_E))
            yield pa.table(
                {
                    "user_id": _ids("u", user_E[kept]),
                    "item_id": _ids("i", item_E[kept]),
                    "rating": rating_E[kept],
                    "timestamp": time_E[kept],
                }
            )

    def items(self) -> Iterator[pa.Table]:
        """Columns item_id, genre and year."""
        for item_U in _pieces(self.n_items):
            rng = self._rng(1, item_U)
            told = rng.random(len(item_U)) < 0.8
            genre = np.where(told, item_U % self.clusters, rng.integers(0, self.clusters, len(item_U)))
            year = rng.integers(1950, 2025, len(item_U))
            yield pa.table({"item_id": _ids("i", item_U), "genre": _ids("genre ", genre), "year": year})

    def users(self) -> Iterator[pa.Table]:
        """Columns user_id, country and age."""
        for user_U in _pieces(self.n_users):
            rng = self._rng(2, user_U)
            told = rng.random(len(user_U)) < 0.5
            first = self._tastes(user_U)[:, 0] % COUNTRIES
            country = np.where(told, first, rng.integers(0, COUNTRIES, len(user_U)))
            age = rng.integers(16, 90, len(user_U))
            yield pa.table({"user_id": _ids("u", user_U), "country": _ids("country ", country), "age": age})

    def _tastes(self, user_U: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._rng(3, user_U).integers(0, self.clusters, (len(user_U), 2))

    def _item(self, cluster_E: NDArray[np.int64], chance_E: NDArray[np.float64]) -> NDArray[np.int64]:
        """Item rows alternate between clusters; within one, the inverse of the popularity's distribution."""
        size_E = (self.n_items - cluster_E + self.clusters - 1) // self.clusters
        place_E = EVENLY * ((size_E + EVENLY) / EVENLY) ** chance_E - EVENLY
        return np.minimum(place_E.astype(np.int64), size_E - 1) * self.clusters + cluster_E

    def _rng(self, what: int, rows: NDArray[np.int64]) -> np.random.Generator:
        return np.random.default_rng([self.seed, what, int(rows[0])])


def _pieces(n: int) -> Iterator[NDArray[np.int64]]:
    for first in range(0, n, PIECE):
        yield np.arange(first, min(first + PIECE, n))


def _ids(prefix: str, rows: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.char.add(prefix, rows.astype(np.str_)))
