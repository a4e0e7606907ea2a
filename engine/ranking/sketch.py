"""Bounds of every item's score from a quarter of the dimensions: those in which scores differ most.

Knows nothing of how a user's vector u came about.

Shapes: N catalogue, D embedding, R dimensions that are read, E = R + 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARE = 0.25
"""Of the dimensions that are read."""


class Sketch(NamedTuple):
    """``u . phi_i <= v[:R] . x_i[:R] + |v[R:]| |x_i[R:]|`` with ``v = turn u``.

    x and v are phi and u turned so that, over users of the prior ``u ~ N(., C)``, the first dimensions of x
    hold most of the variance of scores: with ``C = L L^T`` and V the eigenvectors of ``(phi L)^T phi L``,
    ``x = phi L V`` and ``v = V^T L^-1 u``. The rest is bounded by Cauchy and Schwarz. ``|x_i|`` is the
    standard deviation of the item's score over those users.
    """

    turn_DD: NDArray[np.float32]
    table_EN: NDArray[np.float32]  # x[:R], |x[R:]|, base measure, |x|

    @staticmethod
    def of(
        phi_ND: NDArray[np.float32], base_N: NDArray[np.float32], covariance_DD: NDArray[np.float64]
    ) -> Sketch:
        """
        Args:
            phi_ND: embeddings.
            base_N: base measure.
            covariance_DD: C.
        """
        n_read = -(-phi_ND.shape[1] // int(1 / SHARE))
        root_DD = np.linalg.cholesky(covariance_DD)
        phi_gram_DD = (phi_ND.T @ phi_ND).astype(np.float64)
        _, axes_DD = np.linalg.eigh(root_DD.T @ phi_gram_DD @ root_DD)  # ascending
        turn_DD = root_DD @ axes_DD[:, ::-1]
        x_ND = phi_ND @ turn_DD.astype(np.float32)
        table_EN = np.empty((n_read + 3, len(phi_ND)), np.float32)
        table_EN[:-3] = x_ND[:, :n_read].T
        table_EN[-3] = np.linalg.norm(x_ND[:, n_read:], axis=1)
        table_EN[-2] = base_N
        table_EN[-1] = np.linalg.norm(x_ND, axis=1)
        return Sketch(np.linalg.inv(turn_DD).astype(np.float32), table_EN)
