"""Which items a step of a large catalogue asks about beside those its users met: drawn, with known chances.

Knows nothing of scores or losses.

Shapes: N catalogue, M drawn items.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNIFORM = 0.5
"""Share of the draws in which every item is as likely; the rest fall by popularity (mixed negatives)."""


class Negatives:
    """Draws from ``p_i = UNIFORM / N + (1 - UNIFORM) count_i / sum count``, with replacement.

    An item is drawn at least once with the chance ``1 - (1 - p_i)^draws``. Dividing by it makes sums over the
    drawn items unbiased for sums over the catalogue (Horvitz & Thompson 1952); in a softmax it is the logQ
    correction. Half by popularity, since these are the hard ones; half uniform, since sums over rare items
    would otherwise rest on few draws.

    A draw is a function of (seed, step) alone: all workers take the same, so that each holds the rows' scores
    against the same rivals and two workers see what one would.

    Source: Bengio & Senecal 2008 (importance sampling of a softmax); Yi et al. 2019 (logQ); Yang et al. 2020
    (mixed negative sampling).
    """

    def __init__(self, count_N: NDArray[np.float64], draws: int, seed: int) -> None:
        """
        Args:
            count_N: how often each item was met.
            draws: at most this many items a step; a catalogue no larger is taken whole.
        """
        n, total = len(count_N), max(float(count_N.sum()), 1.0)
        self.cumulative_N = np.cumsum(UNIFORM / n + (1 - UNIFORM) / total * count_N)
        self.draws, self.seed = draws, seed

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """The rows drawn in a step, ascending, and the chance of each to be so, (M,) both."""
        n = len(self.cumulative_N)
        if self.draws >= n:
            return torch.arange(n), torch.ones(n)
        rng = np.random.default_rng([self.seed, step])
        at = rng.random(self.draws) * self.cumulative_N[-1]
        row_M = np.unique(np.searchsorted(self.cumulative_N, at, side="right").clip(max=n - 1))
        before_M = np.where(row_M > 0, self.cumulative_N[row_M - 1], 0.0)
        p_M = (self.cumulative_N[row_M] - before_M) / self.cumulative_N[-1]
        chance_M = -np.expm1(self.draws * np.log1p(-p_M))
        return torch.from_numpy(row_M), torch.from_numpy(chance_M.astype(np.float32))
