"""The K best of N scores, exactly.

Knows nothing of what the scores mean. NaN means "cannot be scored" and is never among the best.

Shapes: B rows, N catalogue, K slate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32] | NDArray[np.float64]


def top_k(scores_BN: Scores, k: int) -> NDArray[np.int64]:
    """Columns of the K best of each row, best first, (B, K); -1 where fewer can be scored.

    Ties go to the lower column. Selects by the K-th largest value and sorts only what it selects.
    """
    B, N = scores_BN.shape
    width = min(k, N)
    slate = np.full((B, k), -1, dtype=np.int64)
    if not B or not width:
        return slate
    unscored = np.isnan(scores_BN)
    score = np.where(unscored, -np.inf, np.maximum(scores_BN, np.finfo(scores_BN.dtype).min))
    kth = np.partition(score, N - width, axis=1)[:, N - width, None]
    above, tied = score > kth, score == kth
    room = width - above.sum(axis=1, keepdims=True)
    chosen = above | (tied & (np.cumsum(tied, axis=1) <= room))
    item = np.nonzero(chosen)[1].reshape(B, width)
    order = np.argsort(-np.take_along_axis(score, item, axis=1), axis=1, kind="stable")
    item = np.take_along_axis(item, order, axis=1)
    slate[:, :width] = np.where(np.take_along_axis(unscored, item, axis=1), -1, item)
    return slate
