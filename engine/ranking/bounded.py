"""The K best by a score that is cheap to bound from above and dear to compute, exactly.

Scores are computed only of rows whose bound reaches the K-th best score. Knows nothing of what they mean.

Shapes: N catalogue, K slate, M some rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SAMPLE, SAMPLE_MAX, STEP = 1024, 4096, 24
"""Entries that the first threshold is taken from: ``SAMPLE``, but one in ``STEP`` up to ``SAMPLE_MAX``."""
SURPLUS = 6
"""How many times the rows that are wanted are scored at first: often enough, as bounds are close."""
ROUNDING = 3e-5
"""By how much, of its size, a bound may fall below its score."""

OfRows = Callable[[NDArray[np.int64]], NDArray[np.float32]]


def best_by_bound(
    upper_N: NDArray[np.float32], k: int, exact: OfRows | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and scores of the K best, best first, both (K,); fewer where fewer have a bound above -infinity.

    A threshold from a sample gives rows of high bounds; their K-th best score is a threshold below which no
    bound matters, and those between the two are computed as well. Ties go to the lower row.

    Args:
        upper_N: at least each row's score; -infinity or NaN: not to be chosen.
        exact: scores of some rows; None where the bounds are the scores.
    """
    rows_M, threshold = _high(upper_N, k)
    if exact is None:
        return best_of(rows_M, upper_N[rows_M], k)
    score_M = exact(rows_M)
    if len(rows_M) >= k:
        kth = float(np.partition(score_M, -k)[-k])
        reach = kth - ROUNDING * (1 + abs(kth))
        if reach < threshold:
            rest = np.flatnonzero((upper_N >= reach) & (upper_N < threshold))
            rows_M, score_M = np.concatenate([rows_M, rest]), np.concatenate([score_M, exact(rest)])
    return best_of(rows_M, score_M, k)


def best_of(
    rows_M: NDArray[np.int64], score_M: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The K best of some rows and their scores; ties go to the lower row."""
    order = np.lexsort((rows_M, -score_M))[:k]
    return rows_M[order], score_M[order]


def _high(upper_N: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], float]:
    """The rows whose bound is at least some threshold, ascending, and the threshold; K or more."""
    step = max(1, min(len(upper_N) // SAMPLE, STEP), len(upper_N) // SAMPLE_MAX)
    sample = upper_N[::step]
    rank = SURPLUS * k // step + 4  # in the sample, and some for luck
    if rank < len(sample):
        threshold = float(np.partition(sample, -rank)[-rank])
        rows = (upper_N >= threshold).nonzero()[0]
        if k <= len(rows) <= len(upper_N) // 2 and threshold > -np.inf:
            return rows, threshold
    allowed = np.flatnonzero(upper_N > -np.inf)
    if len(allowed) <= k:
        return allowed, -np.inf
    threshold = float(np.partition(upper_N[allowed], -k)[-k])
    return np.flatnonzero(upper_N >= threshold), threshold
