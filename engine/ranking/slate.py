"""The ordered answer: which items are shown or asked about, in which order.

Knows nothing of how scores came about.

Shapes: N catalogue, K slate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.data.events import Ignored, Support
from engine.ranking.top_k import top_k


@dataclass(frozen=True)
class Because:
    """What one event did for one recommendation: exact, by adapting again without that event."""

    item_id: str  # of the event
    score_change: float  # score minus the score without the event
    rank_without: int  # where the item would stand without the event, 1 = first


class Recommendation(NamedTuple):
    item_id: str
    score: float
    because: tuple[Because, ...] = ()
    prediction: float | None = None  # the chance or the number the score stands for; None for an order
    uncertainty: float | None = None  # standard deviation of the score, where asked for


@dataclass(frozen=True)
class Similar:
    """An item and how its scores go with those of another over all users, -1..1."""

    item_id: str
    similarity: float


@dataclass(frozen=True)
class Question:
    """An item to ask about."""

    item_id: str
    gain: float  # expected information about the user, in nats
    known: float  # the chance that the user knows the item


Shown = TypeVar("Shown", "Recommendation", "Question")


@dataclass(frozen=True)
class Answer(Generic[Shown]):
    """Items for one person, best first, and what of the request did not count."""

    items: tuple[Shown, ...]
    shots: int  # events that counted
    ignored: tuple[Ignored, ...]  # events that did not
    unknown_candidates: tuple[str, ...] = ()
    unknown_features: tuple[str, ...] = ()

    @property
    def item_ids(self) -> list[str]:
        return [item.item_id for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Shown]:
        return iter(self.items)


class Slate(Answer[Recommendation]):
    """Recommendations, best first."""


class Questions(Answer[Question]):
    """Items to ask about, the most telling first; each gain is what those before leave over."""


def unseen(candidate_N: NDArray[np.bool_], support: Support) -> NDArray[np.bool_]:
    """The candidates without the items of the user's own events."""
    unseen_N = candidate_N.copy()
    unseen_N[support.item_row] = False
    return unseen_N


def best_rows(scores_N: NDArray[np.float32], candidate_N: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """Rows of the K best candidates, best first; fewer where fewer can be scored."""
    rows = top_k(np.where(candidate_N, scores_N, np.float32(np.nan))[None], min(k, len(scores_N)))[0]
    return np.asarray(rows[rows >= 0])
