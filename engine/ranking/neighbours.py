"""Lists to compare with: popularity, and item-kNN from a short list of neighbours per item.

Neighbours are counted from training users when a model is published. Both methods are as one would first
build them, not tuned: a list beside another, not a benchmark. Knows nothing of the model, of ids or of files.

Shapes: S liked items, N catalogue, C items with neighbours, M neighbours of each, K slate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 100  # neighbours kept of an item


@dataclass(frozen=True)
class Neighbours:
    """For each of C items, the M others that may speak for it, and how much; weight 0: none."""

    row_C: NDArray[np.int32]
    neighbour_CM: NDArray[np.int32]
    weight_CM: NDArray[np.float32]

    def score(self, liked_S: NDArray[np.int64], n_items: int) -> NDArray[np.float32]:
        """Sum of the weights of an item's neighbours that are liked, (N,); 0 where none is."""
        times_N = np.bincount(liked_S, minlength=n_items).clip(max=1).astype(np.float32)
        scores_N = np.zeros(n_items, np.float32)
        scores_N[self.row_C] = (times_N[self.neighbour_CM] * self.weight_CM).sum(axis=1)
        return scores_N


def nearest(weight_CC: NDArray[np.float32], row_C: NDArray[np.int64], most: int = MOST) -> Neighbours:
    """The strongest neighbours of each item.

    Args:
        weight_CC: row: an item that speaks; column: the item it speaks for; not negative.
        row_C: catalogue rows of both.
        most: M, or C where that is fewer.
    """
    speaker_MC = np.argsort(-weight_CC, axis=0, kind="stable")[:most]
    weight_MC = np.take_along_axis(weight_CC, speaker_MC, axis=0)
    return Neighbours(
        row_C.astype(np.int32),
        np.ascontiguousarray(row_C[speaker_MC.T], np.int32),
        np.ascontiguousarray(weight_MC.T, np.float32),  # safetensors writes memory as it lies
    )


def in_order(
    scores_N: NDArray[np.float32], popularity_N: NDArray[np.float32], shown_N: NDArray[np.bool_], k: int
) -> NDArray[np.int64]:
    """Rows of the K best that may be shown; equals by popularity, then by row."""
    rows = np.flatnonzero(shown_N)
    order = np.lexsort((-popularity_N[rows], -scores_N[rows]))
    return rows[order[:k]]
