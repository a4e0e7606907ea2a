"""Bounds of every item's score from a quarter of the dimensions: those in which scores differ most.

Knows nothing of how a user's vector u came about.

Shapes: N catalogue, D embedding, R dimensions that are read, E = R + 2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SHARE = 0.25
"""Of the dimensions that are read."""


class Sketch:
    """``u . phi_i + weight * base_i <= v[:R] . x_i[:R] + |v[R:]| |x_i[R:]| + weight * base_i``

    x and v are phi and u turned so that, over users of the prior ``u ~ N(., C)``, the first dimensions of x
    hold most of the variance of scores: with ``C = L L^T`` and V the eigenvectors of ``(phi L)^T phi L``,
    ``x = phi L V`` and ``v = V^T L^-1 u``. The rest is bounded by Cauchy and Schwarz. Kept as (E, N), so that
    a request reads whole dimensions, and a quarter of them.
    """

    def __init__(
        self,
        phi_ND: NDArray[np.float32],
        base_N: NDArray[np.float32],
        covariance_DD: NDArray[np.float64],
        n_read: int | None = None,
    ) -> None:
        """
        Args:
            phi_ND: embeddings.
            base_N: base measure.
            covariance_DD: C.
            n_read: R; default: ``SHARE`` of D.
        """
        dim = phi_ND.shape[1]
        self._n_read = -(-dim // int(1 / SHARE)) if n_read is None else n_read
        root_DD = np.linalg.cholesky(covariance_DD)
        phi_gram_DD = (phi_ND.T @ phi_ND).astype(np.float64)
        _, axes_DD = np.linalg.eigh(root_DD.T @ phi_gram_DD @ root_DD)  # ascending
        turn_DD = root_DD @ axes_DD[:, ::-1]
        self._turned_DD = np.linalg.inv(turn_DD).astype(np.float32)
        x_ND = phi_ND @ turn_DD.astype(np.float32)
        self._table_EN = np.empty((self._n_read + 2, len(phi_ND)), np.float32)
        self._table_EN[:-2] = x_ND[:, : self._n_read].T
        self._table_EN[-2] = np.linalg.norm(x_ND[:, self._n_read :], axis=1)
        self._table_EN[-1] = base_N

    def bounds(self, u_D: NDArray[np.float32], base_weight: np.float32) -> NDArray[np.float32]:
        """At least the score of each item, (N,)."""
        v_D = self._turned_DD @ u_D
        coefficients_E = np.empty(self._n_read + 2, np.float32)
        rest = v_D[self._n_read :]
        coefficients_E[:-2] = v_D[: self._n_read]
        coefficients_E[-2] = math.sqrt(rest @ rest)
        coefficients_E[-1] = base_weight
        return np.asarray(coefficients_E @ self._table_EN)
