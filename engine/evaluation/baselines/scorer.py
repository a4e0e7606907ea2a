"""What every method is to the evaluation: something that scores the catalogue for a batch of episodes.

Knows nothing of how a method learns, tunes or is measured.

Shapes: B users, N catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.evaluation.baselines.knowledge import Events


class Scorer(Protocol):
    """A method under a name. It may look at the support and the user features, never at the query."""

    @property
    def name(self) -> str: ...

    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        """Scores of all items, (B, N); higher is better, NaN cannot be scored."""
        ...


class Personal(Protocol):
    """The part of a method that depends on the support alone; a row of zeros where it knows nothing."""

    def score(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        """Scores of all items, (B, N), from the support events that are liked, or from all of them."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same scores for everyone."""

    name: str
    base: NDArray[np.float32]  # (N,)

    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        return np.broadcast_to(self.base, (len(episodes), len(self.base)))


@dataclass(frozen=True)
class Blend:
    """``personal / spread + weight * base``: the support's voice beside popularity's.

    ``spread`` is the standard deviation of the user's own scores over the catalogue, so that a weight
    means the same for every method and for users with few or many events. Where the support says
    nothing (no events, none of them usable) the base stands alone.
    """

    name: str
    personal: Personal
    events: Events  # of the support, that the personal part hears
    base: NDArray[np.float32]  # (N,)
    weight: float

    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        return blend(standardised(self.personal.score(episodes, self.events)), self.base, self.weight)


@dataclass(frozen=True)
class ByShots:
    """Asks the scorer that was chosen for a user's number of events: the largest one not above it."""

    name: str
    scorers: Mapping[int, Scorer]

    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        tuned = np.array(sorted(self.scorers))
        shots = episodes.present.sum(dim=1).numpy()
        choice = tuned[np.maximum(np.searchsorted(tuned, shots, side="right") - 1, 0)]
        parts = {int(k): self.scorers[int(k)].score(episodes) for k in np.unique(choice)}
        scores = np.empty_like(next(iter(parts.values())))
        for k, part in parts.items():
            scores[choice == k] = part[choice == k]
        return scores


def standardised(scores_BN: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its standard deviation; rows without spread become zero."""
    spread = scores_BN.std(axis=1, keepdims=True)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.asarray(scores_BN * scale, np.float32)


def blend(
    standardised_BN: NDArray[np.float32], base_N: NDArray[np.float32], weight: float
) -> NDArray[np.float32]:
    """Add the weighted base; rows of zeros get the base itself, whatever its weight."""
    silent = ~standardised_BN.any(axis=1, keepdims=True)
    return np.asarray(standardised_BN + np.where(silent, 1, weight) * base_N, np.float32)
