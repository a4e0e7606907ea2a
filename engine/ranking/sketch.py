"""Bounds of every item's score from half of the dimensions, those in which scores differ most, a byte each.

Knows nothing of how a user's vector u came about.

Shapes: N catalogue, M some items, D embedding, R dimensions that are read, E = R + 3, G blocks of B items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHARE = 0.5
"""Of the dimensions that are read."""


class Sketch(NamedTuple):
    """``u . phi_i <= v[:R] . x_i[:R] + |v[R:]| |x_i[R:]|`` with ``x_i = turn^T phi_i``, ``v = turn^-1 u``.

    x and v are phi and u turned so that, over users of the prior ``u ~ N(., C)``, the first dimensions of x
    hold most of the variance of scores: with ``C = L L^T`` and V the eigenvectors of ``(phi L)^T phi L``,
    ``x = phi L V`` and ``v = V^T L^-1 u``. The rest is bounded by Cauchy and Schwarz. ``|x_i|`` is the
    standard deviation of the item's score over those users.
    """

    turn_DD: Floats
    n_read: int

    @classmethod
    def of(cls, phi_ND: Floats, covariance_DD: NDArray[np.float64]) -> Sketch:
        """
        Args:
            phi_ND: embeddings.
            covariance_DD: C.
        """
        root_DD = np.linalg.cholesky(covariance_DD)
        phi_gram_DD = (phi_ND.T @ phi_ND).astype(np.float64)
        _, axes_DD = np.linalg.eigh(root_DD.T @ phi_gram_DD @ root_DD)  # ascending
        n_read = -(-phi_ND.shape[1] // int(1 / SHARE))
        return cls((root_DD @ axes_DD[:, ::-1]).astype(np.float32), n_read)

    def user_turn(self) -> Floats:
        """What turns u to v."""
        return np.linalg.inv(self.turn_DD.astype(np.float64)).astype(np.float32)

    def rows(self, phi_MD: Floats, base_M: Floats) -> Floats:
        """``x[:R], |x[R:]|, base measure, |x|`` of some items, (E, M)."""
        x_MD = phi_MD @ self.turn_DD
        table_EM = np.empty((self.n_read + 3, len(phi_MD)), np.float32)
        table_EM[:-3] = x_MD[:, : self.n_read].T
        table_EM[-3] = np.linalg.norm(x_MD[:, self.n_read :], axis=1)
        table_EM[-2] = base_M
        table_EM[-1] = np.linalg.norm(x_MD, axis=1)
        return table_EM


class Codes(NamedTuple):
    """``least + step (code - 1/2) <= value <= least + step (code + 1/2)``, within rounding."""

    code_GEB: NDArray[np.uint8]
    least_GE: Floats
    step_GE: Floats

    @classmethod
    def of(cls, table_GEB: Floats) -> Codes:
        """Each row of each block on its own scale."""
        least_GE, most_GE = table_GEB.min(axis=2), table_GEB.max(axis=2)
        step_GE = np.maximum((most_GE - least_GE) / 255, np.finfo(np.float32).tiny).astype(np.float32)
        code_GEB = np.rint((table_GEB - least_GE[..., None]) / step_GE[..., None])
        return cls(code_GEB.clip(0, 255).astype(np.uint8), least_GE, step_GE)
