"""Draws episodes: a user's support (what is seen) and query (what must be predicted).

Knows nothing of models or files. A draw depends on (seed, pass, user) alone, so neither the order
of users nor the number of workers changes it.

Shapes: B users, S support (padded), Q query events of all users together, F user features, Y items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.histories import Histories


@dataclass(frozen=True)
class EpisodeRules:
    """How a history is cut into support and query."""

    relevant: NDArray[np.bool_]  # by signal: may an event of this signal be a query item?
    order: Literal["time", "random"] = "time"  # "time": as it happened; "random": shuffled anew each pass
    shots_max: int = 20
    query_after: int = 0  # the first n events of a user are neither query nor candidates
    event_dropout: float = 0.0  # share of support events left out
    event_noise: float = 0.0  # share of support events whose item is a random one instead
    n_items: int = 0  # N, which random items are drawn from


def _no_items() -> Tensor:
    return torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Episodes:
    """A batch of episodes. Padding of the support has ``present`` False and comes last."""

    support_item: Tensor  # (B, S) int64
    support_signal: Tensor  # (B, S) int64
    support_age: Tensor  # (B, S) int64: how many of the user's shown events came after it
    support_elapsed: Tensor  # (B, S) float32: hours before the user's newest shown event, NaN unknown
    present: Tensor  # (B, S) bool
    user_x: Tensor  # (B, F) float32
    query_user: Tensor  # (Q,) int64, row of the batch
    query_item: Tensor  # (Q,) int64
    met_user: Tensor  # (M,) int64: all that users met after the support, wanted or not
    met_item: Tensor  # (M,) int64
    met_signal: Tensor  # (M,) int64
    barred_user: Tensor  # (X,) int64: these (user, item) pairs are no candidates
    barred_item: Tensor  # (X,) int64
    barred_for_all: Tensor = field(default_factory=_no_items)  # (Y,) int64: items nobody may be given

    def __len__(self) -> int:
        return len(self.support_item)

    @property
    def shots(self) -> Tensor:
        """Support events of each user, (B,)."""
        return self.present.sum(dim=1)

    def to(self, device: torch.device | str) -> Episodes:
        return Episodes(**{f.name: moved(getattr(self, f.name), device) for f in fields(self)})


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """On another device; to a GPU without waiting for the copy."""
    if tensor.is_cuda or torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Draw:
    """One user's episode, unpadded."""

    support: NDArray[np.int64]  # positions of events, oldest first
    query: NDArray[np.int64]  # the wanted ones of ``met``
    met: NDArray[np.int64]
    barred: NDArray[np.int64]


def draw_one(histories: Histories, user: int, rules: EpisodeRules, rng: np.random.Generator) -> Draw:
    """Cut one history: shots uniform in 0..shots_max, query = relevant events after the cut.

    Where ``query_after`` is set, the first ``min(query_after, n / 2)`` events are set aside: the
    support comes from them, they are never candidates, and the query starts after them for every
    number of shots. Otherwise the query starts right after the support.
    """
    run = histories.of(user)
    events = np.arange(run.start, run.stop)
    if rules.order == "random":
        events = rng.permutation(events)
    n = len(events)
    gap = min(rules.query_after, n // 2)
    most = min(rules.shots_max, gap if rules.query_after else n - 1)
    shots = int(rng.integers(0, most + 1))
    after = gap if rules.query_after else shots
    support = events[:shots]
    if rules.event_dropout:
        support = support[rng.random(shots) >= rules.event_dropout]
    met = events[after:]
    return Draw(support, met[rules.relevant[histories.signal[met]]], met, events[:after])


def draw_episodes(
    histories: Histories,
    users: NDArray[np.int64],
    user_x: NDArray[np.float32],
    rules: EpisodeRules,
    seed: Sequence[int],
    numbers: NDArray[np.int64] | None = None,
) -> Episodes:
    """Draw one episode for each of ``users``; ``seed`` is (seed, pass).

    Args:
        numbers: what users are drawn by, where ``histories`` are an excerpt. Default: ``users``.
    """
    by = users if numbers is None else numbers
    rngs = [np.random.default_rng([*seed, int(number)]) for number in by]
    draws = [draw_one(histories, int(u), rules, rng) for u, rng in zip(users, rngs, strict=True)]
    episodes = collate(histories, draws, user_x[users], rules.order)
    return _mistaken(episodes, rules, rngs) if rules.event_noise else episodes


def _mistaken(episodes: Episodes, rules: EpisodeRules, rngs: Sequence[np.random.Generator]) -> Episodes:
    """Some support events with a random item of the catalogue, so that training knows noise."""
    item_BS = episodes.support_item.numpy().copy()
    for items_S, shots, rng in zip(item_BS, episodes.shots.tolist(), rngs, strict=True):
        swap = np.flatnonzero(rng.random(shots) < rules.event_noise)
        items_S[swap] = rng.integers(rules.n_items, size=len(swap))
    return replace(episodes, support_item=torch.from_numpy(item_BS))


def collate(
    histories: Histories, draws: Sequence[Draw], user_x: NDArray[np.float32], order: str = "time"
) -> Episodes:
    """Pad the supports and flatten what came after; of items that are barred or repeated nothing is asked.

    In a random order time says nothing, so it is not shown.
    """
    supports = [d.support for d in draws]
    support = pad_support(
        [histories.item_row[s] for s in supports],
        [histories.signal[s] for s in supports],
        [histories.timestamp[s] for s in supports] if order == "time" else None,
    )
    barred_user, barred_item = _pairs(histories, [d.barred for d in draws])
    query_user, query_item = _pairs(histories, [d.query for d in draws])
    met_user, met_item = _pairs(histories, [d.met for d in draws])
    met_signal = histories.signal[np.concatenate([*(d.met for d in draws), np.empty(0, np.int64)])]
    width = int(histories.item_row.max(initial=0)) + 1
    barred = barred_user * width + barred_item
    query = np.setdiff1d(query_user * width + query_item, barred)
    met, last = np.unique((met_user * width + met_item)[::-1], return_index=True)
    asked = ~np.isin(met, barred)
    pairs = [array for key in (query, met[asked]) for array in (key // width, key % width)]
    arrays = (*support, user_x.astype(np.float32), *pairs, met_signal[::-1][last[asked]])
    return Episodes(*map(torch.from_numpy, (*arrays, barred_user, barred_item)))


def take_episodes(episodes: Episodes, rows: slice) -> Episodes:
    """Some users of a batch; their queries and barred items come along."""
    kept = torch.arange(len(episodes))[rows]
    place = torch.full((len(episodes),), -1)
    place[kept] = torch.arange(len(kept))
    query, barred = place[episodes.query_user] >= 0, place[episodes.barred_user] >= 0
    met = place[episodes.met_user] >= 0
    return Episodes(
        episodes.support_item[rows],
        episodes.support_signal[rows],
        episodes.support_age[rows],
        episodes.support_elapsed[rows],
        episodes.present[rows],
        episodes.user_x[rows],
        place[episodes.query_user[query]],
        episodes.query_item[query],
        place[episodes.met_user[met]],
        episodes.met_item[met],
        episodes.met_signal[met],
        place[episodes.barred_user[barred]],
        episodes.barred_item[barred],
        episodes.barred_for_all,
    )


def support_only(
    items: Sequence[NDArray[np.int64]],
    signals: Sequence[NDArray[np.int64]],
    user_x: NDArray[np.float32],
    timestamps: Sequence[NDArray[np.float64]] | None = None,
) -> Episodes:
    """Episodes to adapt on and nothing to predict: what a request gives. Oldest events first."""
    nothing = [np.empty(0, np.int64)] * 7
    support = pad_support(items, signals, timestamps)
    return Episodes(*map(torch.from_numpy, (*support, user_x, *nothing)))


class PaddedSupport(NamedTuple):
    """Ragged supports in rectangles; the fields are those of `Episodes`."""

    item: NDArray[np.int64]  # (B, S)
    signal: NDArray[np.int64]  # (B, S)
    age: NDArray[np.int64]  # (B, S)
    elapsed: NDArray[np.float32]  # (B, S)
    present: NDArray[np.bool_]  # (B, S)


def pad_support(
    items: Sequence[NDArray[np.int64]],
    signals: Sequence[NDArray[np.int64]],
    timestamps: Sequence[NDArray[np.float64]] | None = None,
) -> PaddedSupport:
    """Pad ragged supports, oldest first; ``timestamps`` are Unix seconds, NaN or None unknown."""
    lengths = np.array([len(i) for i in items], dtype=np.int64)
    position = np.arange(max(int(lengths.max(initial=0)), 1))
    present = position < lengths[:, None]
    item = np.zeros(present.shape, dtype=np.int64)
    signal = np.zeros(present.shape, dtype=np.int64)
    seconds = np.full(present.shape, np.nan)
    if lengths.any():
        item[present] = np.concatenate(items)
        signal[present] = np.concatenate(signals)
        if timestamps is not None:
            seconds[present] = np.concatenate(timestamps)
    age = np.where(present, lengths[:, None] - 1 - position, 0)
    return PaddedSupport(item, signal, age, _hours_before_newest(seconds), present)


def _hours_before_newest(seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Hours from each (B, S) time to the latest of its row; NaN where it is unknown."""
    newest = np.fmax.reduce(seconds, axis=1, keepdims=True)
    return ((newest - seconds) / 3600.0).astype(np.float32)


def _pairs(
    histories: Histories, events: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    user = np.repeat(np.arange(len(events)), [len(e) for e in events])
    return user, histories.item_row[np.concatenate([*events, np.empty(0, np.int64)])]
