"""Why an item is on the slate: the exact change had one event not happened.

"Because of X" is a counterfactual. The user is adapted again without X, and so without X's effect on
the age of older events; leave-one-out users are batches of the same solve. Where recency is flat this
equals the rank-one downdate of the posterior (Sherman & Morrison 1950). Knows nothing of the model.

Shapes: S explained events, N catalogue, K slate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.events import Support
from engine.ranking.slate import unseen

REASONS = 3
EVENTS = 50
CHUNK = 16

Score = Callable[[list[Support]], NDArray[np.float32]]


@dataclass(frozen=True)
class LeftOut:
    """What each of the latest ``EVENTS`` events did for each slate item."""

    event: NDArray[np.int64]  # (S,) position in the support
    score_change: NDArray[np.float32]  # (S, K) score minus the score without the event
    rank_without: NDArray[np.int64]  # (S, K) rank without the event, 1 = first

    def strongest(self, place: int, most: int = REASONS) -> list[int]:
        """Rows of the events that matter most to one slate item, by the size of their change."""
        order = np.argsort(-np.abs(self.score_change[:, place]), kind="stable")
        return [int(row) for row in order[:most]]


def leave_one_out(
    support: Support,
    score: Score,
    scores_N: NDArray[np.float32],
    candidate_N: NDArray[np.bool_],
    slate_K: NDArray[np.int64],
    exclude_seen: bool,
) -> LeftOut:
    """Adapt again without each event, some at a time so that memory stays at ``CHUNK`` catalogues.

    Args:
        support: the user's events.
        score: adapts and scores several supports of this user, (B, N).
        scores_N: scores after all events.
        candidate_N: which items could be on the slate, seen ones included.
        slate_K: the slate's rows, best first.
        exclude_seen: seen items were left out; without its event an item is no longer seen.
    """
    shots = len(support.item_row)
    events = np.arange(max(shots - EVENTS, 0), shots)
    change_SK = np.empty((len(events), len(slate_K)), np.float32)
    rank_SK = np.empty((len(events), len(slate_K)), np.int64)
    for some in np.array_split(events, range(CHUNK, len(events), CHUNK)):
        rests = [support.without(int(event)) for event in some]
        for event, rest, without_N in zip(some, rests, score(rests), strict=True):
            allowed_N = unseen(candidate_N, rest) if exclude_seen else candidate_N
            row = event - events[0]
            change_SK[row] = scores_N[slate_K] - without_N[slate_K]
            rank_SK[row] = ranks(without_N, allowed_N, slate_K)
    return LeftOut(events, change_SK, rank_SK)


def ranks(
    scores_N: NDArray[np.float32], allowed_N: NDArray[np.bool_], rows_K: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where each of ``rows_K`` stands among the allowed items, (K,), 1 = first; ties go to the lower row."""
    rivals_N = np.sort(np.where(allowed_N, scores_N, -np.inf))
    own_K = scores_N[rows_K]
    ahead_K = len(rivals_N) - np.searchsorted(rivals_N, own_K, side="right")
    tied_K = np.searchsorted(rivals_N, own_K, side="right") - np.searchsorted(rivals_N, own_K, side="left")
    for k in np.flatnonzero(tied_K > allowed_N[rows_K]):
        row = rows_K[k]
        ahead_K[k] += (allowed_N[:row] & (scores_N[:row] == own_K[k])).sum()
    return np.asarray(ahead_K + 1)
