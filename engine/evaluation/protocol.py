"""Who is held out, and what of their histories is shown, asked and barred.

Knows nothing of models, metrics or files.

Shapes: U users of the data set, N catalogue, B held-out users, X query events of all held-out users, F user
features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.episodes import Draw, Episodes, collate, take_episodes
from engine.data.histories import Histories
from engine.errors import ConfigError, DataError

SHOTS = (0, 1, 3, 5, 10, 20)
PART = 256  # users scored at once
Order = Literal["time", "random"]


@dataclass(frozen=True)
class Split:
    """Disjoint groups of users (rows of the data set), each in the order of the permutation."""

    test: NDArray[np.int64]
    validation: NDArray[np.int64]
    train: NDArray[np.int64]


def split_users(n_users: int, seed: int, test_share: float = 0.2, validation_share: float = 0.1) -> Split:
    """Permute the users and cut: the first ``int(test_share * U)`` are test, the next validation.

    Raises:
        ConfigError: the shares are negative or leave no user to train on.
    """
    if min(test_share, validation_share) < 0 or test_share + validation_share >= 1:
        raise ConfigError(
            f"test_share={test_share} and validation_share={validation_share} leave no user to train on",
            fix="Give two shares of at least 0 whose sum is below 1.",
        )
    order = np.random.RandomState(seed).permutation(n_users).astype(np.int64)
    n_test, n_validation = int(test_share * n_users), int(validation_share * n_users)
    test, validation, train = np.split(order, [n_test, n_test + n_validation])
    return Split(test, validation, train)


def split_around(test_U: NDArray[np.bool_], seed: int, validation_share: float = 0.1) -> Split:
    """The same with given test users; the validation users are a share of all, but none of them."""
    order = np.random.RandomState(seed).permutation(len(test_U)).astype(np.int64)
    rest = order[~test_U[order]]
    n_validation = int(validation_share * len(test_U))
    return Split(order[test_U[order]], rest[:n_validation], rest[n_validation:])


@dataclass(frozen=True)
class Outcomes:
    """What held-out users did after the gap, liked or not; an item counts once, by its last event."""

    user: NDArray[np.int64]  # (X,) row of the batch
    item: NDArray[np.int64]  # (X,)
    signal: NDArray[np.int64]  # (X,)
    wanted: NDArray[np.bool_]  # (X,) some query event of the user with this item was relevant

    def take(self, rows: range) -> Outcomes:
        """Those of a run of users."""
        mine = (self.user >= rows.start) & (self.user < rows.stop)
        return Outcomes(self.user[mine] - rows.start, self.item[mine], self.signal[mine], self.wanted[mine])


@dataclass(frozen=True)
class HeldOut:
    """The same users and the same query at every number of shots."""

    users: NDArray[np.int64]  # (B,) rows of the data set
    episodes: Mapping[int, Episodes]  # by shots
    outcomes: Outcomes
    at_once: int = PART

    def parts(self, rank: int = 0, world: int = 1) -> Iterator[HeldOut]:
        """Runs of ``at_once`` users, in order: their scores fit in memory where (B, N) may not.

        Of several workers each takes every ``world``-th, from its own on.
        """
        for first in range(rank * self.at_once, len(self.users), world * self.at_once):
            rows = range(first, min(first + self.at_once, len(self.users)))
            run = slice(rows.start, rows.stop)
            episodes = {k: take_episodes(e, run) for k, e in self.episodes.items()}
            yield HeldOut(self.users[run], episodes, self.outcomes.take(rows))


@dataclass(frozen=True)
class Cut:
    """One held-out history, by positions of events."""

    user: int
    shown: NDArray[np.int64]  # events before the gap's end, oldest first: supports are its beginnings
    asked: NDArray[np.int64]  # events after it whose items are candidates


def hold_out(
    histories: Histories,
    users: NDArray[np.int64],
    user_x: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    shots: Sequence[int] = SHOTS,
    order: Order = "time",
    gap: int = 20,
    seed: int = 0,
    min_events: int | None = None,
    barred_N: NDArray[np.bool_] | None = None,
) -> HeldOut:
    """Cut the histories of held-out users into support, gap and query.

    Support = the first K events of the user's order, for each K of ``shots``. The first ``gap`` events
    are never candidates; query = the relevant events after them. Users, candidates and query are thus
    the same at every K. With ``gap`` = 0 each user gets a gap of ``min(max(shots), n // 2)`` events:
    short histories keep half as their query, and for them "K shots" means "at most K shots".

    Args:
        histories: all users, (U); ``users``: (B,) rows of the held-out ones; ``user_x``: (U, F).
        relevant: by signal; which events count as wanted.
        order: "time" as it happened, or "random": each history shuffled once, by (seed, user) alone.
        min_events: users with fewer events are dropped. Default: the gap and three tenths of it more
            (26 for a gap of 20), or 2 when ``gap`` is 0.
        barred_N: items that are nobody's candidates; default: none.

    Raises:
        ConfigError: the order is unknown, or shots are negative or exceed the gap.
        DataError: no user is left. Users without a relevant query item are dropped.
    """
    _check(shots, order, gap)
    least = _least_events(gap) if min_events is None else min_events
    runs = [(user, ordered(histories, user, order, seed)) for user in users.tolist()]
    cuts = [
        _cut(histories, u, run, gap or min(max(shots), len(run) // 2)) for u, run in runs if len(run) >= least
    ]
    cuts = [cut for cut in cuts if relevant[histories.signal[cut.asked]].any()]
    if not cuts:
        raise DataError(
            f"none of {len(users)} held-out users has {least} events and a relevant one after the gap",
            where=f"gap={gap}",
            fix="Hold out more users, lower the gap, or widen what counts as relevant.",
        )
    return assemble(histories, cuts, user_x, relevant, shots, order, barred_N)


def assemble(
    histories: Histories,
    cuts: Sequence[Cut],
    user_x: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    shots: Sequence[int],
    order: Order,
    barred_N: NDArray[np.bool_] | None = None,
) -> HeldOut:
    """Episodes and outcomes of cut histories; the arguments are those of `hold_out`."""
    kept = np.array([c.user for c in cuts], dtype=np.int64)
    for_all = torch.from_numpy(np.flatnonzero(np.zeros(0) if barred_N is None else barred_N))
    draws = {k: [_draw(histories, c, k, relevant) for c in cuts] for k in shots}
    episodes = {
        k: replace(collate(histories, d, user_x[kept], order), barred_for_all=for_all)
        for k, d in draws.items()
    }
    return HeldOut(kept, episodes, _outcomes(histories, cuts, relevant))


def gap_lengths(lengths: NDArray[np.int64], gap: int, shots_max: int) -> NDArray[np.int64]:
    """Events set aside per user: ``min(gap, n // 2)``, where a ``gap`` of 0 stands for ``shots_max``."""
    return np.minimum(gap or shots_max, lengths // 2)


def query_counts(
    histories: Histories,
    n_items: int,
    relevant: NDArray[np.bool_],
    gap: int,
    order: Order,
    shots_max: int,
) -> NDArray[np.float64]:
    """Late popularity: the expected number of an item's relevant events after the gap, (N,).

    What people choose first is not what they choose later. In order of time the events after the gap
    count; in a random order every relevant event does, by its chance ``1 - gap / n`` to land there.
    """
    gaps = gap_lengths(histories.lengths, gap, shots_max)
    if order == "time":
        position = np.arange(histories.n_events) - np.repeat(histories.start[:-1], histories.lengths)
        chance = (position >= np.repeat(gaps, histories.lengths)).astype(np.float64)
    else:
        chance = np.repeat(1 - gaps / np.maximum(histories.lengths, 1), histories.lengths)
    wanted = relevant[histories.signal]
    counts = np.bincount(histories.item_row[wanted], chance[wanted], minlength=n_items)
    return counts.astype(np.float64)


def _check(shots: Sequence[int], order: str, gap: int) -> None:
    if order not in ("time", "random"):
        raise ConfigError(f"order={order!r} is unknown", fix="Use 'time' or 'random'.")
    if not shots or min(shots) < 0 or gap < 0 or (gap and max(shots) > gap):
        raise ConfigError(
            f"shots={list(shots)} do not fit a gap of {gap} events",
            fix="Give at least one number of shots, none below 0 or above the gap (gap 0: any).",
        )


def _least_events(gap: int) -> int:
    return gap + -(-3 * gap // 10) if gap else 2


def ordered(histories: Histories, user: int, order: Order, seed: int) -> NDArray[np.int64]:
    """Positions of a user's events as they are met."""
    run = histories.of(user)
    events = np.arange(run.start, run.stop, dtype=np.int64)
    return events if order == "time" else np.random.default_rng([seed, user]).permutation(events)


def _cut(histories: Histories, user: int, events: NDArray[np.int64], gap: int) -> Cut:
    shown, after = events[:gap], events[gap:]
    return Cut(user, shown, after[~np.isin(histories.item_row[after], histories.item_row[shown])])


def _draw(histories: Histories, cut: Cut, shots: int, relevant: NDArray[np.bool_]) -> Draw:
    wanted = cut.asked[relevant[histories.signal[cut.asked]]]
    return Draw(cut.shown[:shots], wanted, cut.asked, cut.shown)


def _outcomes(histories: Histories, cuts: Sequence[Cut], relevant: NDArray[np.bool_]) -> Outcomes:
    user = np.repeat(np.arange(len(cuts)), [len(c.asked) for c in cuts])
    events = np.concatenate([c.asked for c in cuts])
    item, signal = histories.item_row[events], histories.signal[events]
    width = int(item.max()) + 1
    pair, last = np.unique((user * width + item)[::-1], return_index=True)
    wanted = np.isin(pair, (user * width + item)[relevant[signal]])
    return Outcomes(pair // width, pair % width, signal[::-1][last], wanted)
