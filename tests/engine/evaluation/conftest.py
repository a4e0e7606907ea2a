"""Hand-made histories and episodes, small enough to work out on paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from engine.data.episodes import Episodes, pad_support
from engine.data.histories import Histories
from tests.histories import group_by_user

Rows = Sequence[Sequence[int]]


@pytest.fixture(scope="session")
def make_histories() -> Callable[..., Histories]:
    """Histories from one list of items a user; ``signals`` likewise (default: all 1)."""

    def make(items: Rows, signals: Rows | None = None) -> Histories:
        signals = signals or [[1] * len(row) for row in items]
        user = np.repeat(np.arange(len(items)), [len(row) for row in items])
        flat = np.array([i for row in items for i in row], dtype=np.int64)
        signal = np.array([s for row in signals for s in row], dtype=np.int64)
        return group_by_user(user, flat, signal, np.arange(len(flat), dtype=np.float64), len(items))

    return make


@pytest.fixture(scope="session")
def make_episodes() -> Callable[..., Episodes]:
    """Episodes from one list of query items a user, and likewise the barred and the support items."""

    def make(query: Rows, barred: Rows | None = None, support: Rows | None = None) -> Episodes:
        barred, support = barred or [[] for _ in query], support or [[] for _ in query]
        items = [np.array(row, dtype=np.int64) for row in support]
        padded = pad_support(items, [np.ones_like(row) for row in items])
        pairs = [_flat(query), _flat(barred)]
        met = (*pairs[0], np.ones_like(pairs[0][0]))
        arrays = (*padded, np.zeros((len(query), 0), np.float32), *pairs[0], *met, *pairs[1])
        return Episodes(*map(torch.from_numpy, arrays))

    return make


def _flat(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return user, np.array([i for row in rows for i in row], dtype=np.int64)


@pytest.fixture(scope="session")
def tastes() -> Histories:
    """Sixty users of two kinds: even users like items 0-9, odd ones 10-19, and all like 20 to 23.

    Signal 1 is a like, signal 0 a dislike of an item of the other kind (one event in five).
    """
    rng = np.random.default_rng(0)
    user, item, signal = [], [], []
    for u in range(60):
        own, other = (0, 10) if u % 2 == 0 else (10, 0)
        liked = [*(own + rng.permutation(10)[:8]), *(20 + rng.permutation(4)[:2])]
        disliked = list(other + rng.permutation(10)[:2])
        order = rng.permutation(12)
        item += list(np.array(liked + disliked)[order])
        signal += list(np.array([1] * 10 + [0] * 2)[order])
        user += [u] * 12
    time = np.arange(len(user), dtype=np.float64)
    return group_by_user(np.array(user), np.array(item), np.array(signal), time, 60)
