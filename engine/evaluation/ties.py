"""The first K of an order in which equal scores stand in no order: what to expect of each place.

Row numbers often follow popularity or age, and items without events share scores when they share features;
breaking ties by row would credit a method with what it does not know. Knows nothing of metrics.

Shapes: B users, N catalogue, K slate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.ranking.top_k import Scores, top_k

ROUNDING = 1e-5  # of a row's largest score: closer ones are equal but for float32's rounding


class Places(NamedTuple):
    """Of each place of the slate: the items tied there, the wanted ones of them, and its place in the tie."""

    tied_BK: NDArray[np.int64]
    wanted_BK: NDArray[np.int64]
    place_BK: NDArray[np.int64]  # from 0

    @property
    def hits(self) -> NDArray[np.float64]:
        """Chance that a place holds a wanted item, over all orders of the ties, (B, K)."""
        return np.asarray(self.wanted_BK / self.tied_BK)

    @property
    def any_hit(self) -> NDArray[np.float64]:
        """Chance that some place does, (B,): 1 - the chance that ties drawn one by one are all unwanted."""
        unwanted_BK = self.tied_BK - self.wanted_BK
        miss_BK = np.maximum(unwanted_BK - self.place_BK, 0) / (self.tied_BK - self.place_BK)
        return np.asarray(1 - miss_BK.prod(axis=1))


def places(scores_BN: Scores, wanted_BN: NDArray[np.bool_], k: int) -> Places:
    """The K best places of each row; NaN scores stand nowhere, and empty places hold nothing wanted.

    Source: McSherry and Najork 2008, measures in the presence of tied scores.
    """
    slate = top_k(scores_BN, k + 1)  # one more, to see whether the last tie goes on
    filled = slate >= 0
    level = np.where(filled, np.take_along_axis(scores_BN, np.maximum(slate, 0), axis=1), np.nan)
    wanted = np.take_along_axis(wanted_BN, np.maximum(slate, 0), axis=1) & filled
    found = Places(
        np.ones((len(slate), k), np.int64), wanted[:, :k].astype(np.int64), np.zeros_like(slate[:, :k])
    )
    rounding = ROUNDING * np.abs(np.where(np.isfinite(level), level, 0)).max(axis=1)
    for row in np.flatnonzero(_alike(level[:, :-1], level[:, 1:], rounding[:, None]).any(axis=1)):
        at = np.flatnonzero(filled[row, :k])
        tied = _alike(scores_BN[row], level[row, at, None], rounding[row])
        found.tied_BK[row, at] = tied.sum(axis=1)
        found.wanted_BK[row, at] = (tied & wanted_BN[row]).sum(axis=1)
        found.place_BK[row, at] = np.tril(tied[:, slate[row, at]], -1).sum(axis=1)
    return found


def _alike(a: Scores, b: Scores, rounding: Scores) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", over="ignore"):  # infinite scores are equal, or far from each other
        return np.asarray((a == b) | (np.abs(a - b) <= rounding))
