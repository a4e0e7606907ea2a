"""What all baselines learn from: who liked what, how often, and how often together.

Knows nothing of any method, of tuning or of metrics. Every count is made once and shared.

Shapes: U training users, N catalogue, C core items, E events, B users of a batch, R signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.data.histories import Histories
from engine.evaluation.protocol import Order, query_counts

CORE_ITEMS = 4000  # item-item methods need C x C memory and C^3 time
Events = Literal["liked", "seen"]


@dataclass(frozen=True)
class Knowledge:
    """Counts of the training users' histories."""

    liked: sp.csr_array  # (U, N) 1 where a user has a relevant event with an item
    seen: sp.csr_array  # (U, N) 1 where a user has any event with an item
    late: NDArray[np.float64]  # (N,) expected number of relevant events after the gap
    relevant: NDArray[np.bool_]  # (R,)

    @property
    def n_items(self) -> int:
        return int(self.liked.shape[1])

    @property
    def all_liked(self) -> bool:
        """Whether every event is relevant, so that "liked" and "seen" are the same."""
        return bool(self.relevant.all())

    @cached_property
    def popularity(self) -> NDArray[np.float64]:
        """Users who liked each item, (N,)."""
        return np.asarray(self.liked.sum(axis=0), np.float64)

    @cached_property
    def base(self) -> NDArray[np.float32]:
        """Late popularity as a score, (N,): ``log(late + 1/2)`` in its standard deviations."""
        log = np.log(self.late + 0.5)
        return (log / max(float(log.std()), 1e-12)).astype(np.float32)

    @cached_property
    def core(self) -> NDArray[np.int64]:
        """Rows of the items that item-item methods cover: the ``CORE_ITEMS`` most seen, ascending."""
        seen = np.asarray(self.seen.sum(axis=0))
        return np.sort(np.argsort(-seen, kind="stable")[:CORE_ITEMS])

    def matrix(self, events: Events) -> sp.csr_array:
        """Users by items, (U, N)."""
        return self.liked if events == "liked" else self.seen

    def gram(self, events: Events) -> NDArray[np.float32]:
        """In how many histories two core items stand together, (C, C)."""
        return self._gram_liked if events == "liked" else self._gram_seen

    @cached_property
    def _gram_liked(self) -> NDArray[np.float32]:
        return _gram(self.liked[:, self.core])

    @cached_property
    def _gram_seen(self) -> NDArray[np.float32]:
        return self._gram_liked if self.all_liked else _gram(self.seen[:, self.core])

    def support(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        """1 at the items of each user's support, liked ones or all, (B, N)."""
        usable = usable_support(episodes, self.relevant, events)
        row, position = np.nonzero(usable)
        x_BN = np.zeros((len(episodes), self.n_items), np.float32)
        x_BN[row, episodes.support_item.numpy()[row, position]] = 1
        return x_BN


def usable_support(episodes: Episodes, relevant: NDArray[np.bool_], events: Events) -> NDArray[np.bool_]:
    """Which support events a method may use, (B, S)."""
    present: NDArray[np.bool_] = episodes.present.numpy()
    return present if events == "seen" else present & relevant[episodes.support_signal.numpy()]


def learn(
    train: Histories,
    n_items: int,
    relevant: NDArray[np.bool_],
    gap: int = 20,
    order: Order = "time",
    shots_max: int = 20,
) -> Knowledge:
    """Count the histories of the training users (and of no others).

    Args:
        train: histories of the training users, (U).
        n_items: N.
        relevant: by signal.
        gap, shots_max: as for `engine.evaluation.protocol.hold_out`.
        order: the order in which newcomers will be met.
    """
    wanted = relevant[train.signal]
    late_N = query_counts(train, n_items, relevant, gap, order, shots_max)
    return Knowledge(_matrix(train, wanted, n_items), _matrix(train, None, n_items), late_N, relevant)


def _matrix(train: Histories, keep: NDArray[np.bool_] | None, n_items: int) -> sp.csr_array:
    events = slice(None) if keep is None else keep
    user, item = train.user_row[events], train.item_row[events]
    x_UN = sp.csr_array((np.ones(len(user), np.float32), (user, item)), shape=(train.n_users, n_items))
    x_UN.sum_duplicates()
    x_UN.data[:] = 1
    return x_UN


def _gram(x_UC: sp.csr_array) -> NDArray[np.float32]:
    return np.asarray((x_UC.T @ x_UC).toarray(), np.float32)
