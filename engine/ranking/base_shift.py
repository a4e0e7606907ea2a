"""The episodic ridge laid out for serving: its shift of some items exactly, of all items bounded from above.

Reading its whole matrix would cost as much as the catalogue; the bound reads six numbers an item. Knows
nothing of embeddings beyond the ridge's inputs.

Shapes: N catalogue, C items of the ridge, M inputs, D columns of the spectral start, F user features.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data.events import Support
from engine.learning.episodic_ridge import LEAST, EpisodicRidge
from engine.ranking.arrays import array, group

Rows = NDArray[np.int64]
Shifts = NDArray[np.float32]


class BaseShift:
    """``gain[S] log max(z . W_i / pop_i, LEAST)`` of one user's inputs z; 0 for other items.

    Items that the ridge does not know share one more row of weights, behind those of the others, which makes
    1 of every z and so no shift.
    """

    def __init__(
        self,
        ridge: EpisodicRidge,
        spectral_ND: NDArray[np.float32],
        warm_N: NDArray[np.bool_],
        x_mean_F: NDArray[np.float32],
    ) -> None:
        item_C = array(ridge.item_C)
        kept = warm_N[item_C]
        known_C = item_C[kept]
        n_known = len(known_C)
        self.weight_CM = np.zeros((n_known + 1, ridge.weight_MC.shape[0]), np.float32)
        self.weight_CM[:-1] = (array(ridge.weight_MC) / np.exp(array(ridge.log_popularity_C))).T[kept]
        self.weight_CM[-1, -1] = 1.0
        self.column_N = np.full(len(warm_N), n_known)
        self.column_N[known_C] = np.arange(n_known)
        self._spectral_ND, self._x_mean_F = spectral_ND, x_mean_F
        self._counted_2R = np.ones((2, len(ridge.wanted_R)), np.float32)
        self._counted_2R[1] = array(ridge.wanted_R)
        self._gain_A = array(ridge.gain_logit_A.sigmoid()).tolist()
        self.bound_6C = self._summary(spectral_ND.shape[1], x_mean_F)
        self.item_C = slice(None) if n_known == len(warm_N) else known_C

    def _summary(self, dim: int, x_mean_F: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a bound needs of each item: three lengths, two weights, an average user's rest, (6, C)."""
        met, wanted, counts = slice(0, dim), slice(dim, 2 * dim), slice(2 * dim, 2 * dim + 2)
        features = slice(2 * dim + 2, -1)
        weight_CM = self.weight_CM[:-1]
        lengths = [np.linalg.norm(weight_CM[:, block], axis=1) for block in (met, wanted, features)]
        average_C = weight_CM[:, features] @ x_mean_F + weight_CM[:, -1]
        return np.stack([*lengths, *weight_CM[:, counts].T, average_C])

    def of(self, support: Support, user_x: NDArray[np.float32]) -> UserShift:
        """The shift for one user."""
        counted_2S, dim = self._counted_2R[:, support.signal], self._spectral_ND.shape[1]
        z_M = np.ones(self.weight_CM.shape[1], np.float32)
        sums_2D = z_M[: 2 * dim].reshape(2, dim)
        counted_2S.dot(self._spectral_ND[support.item_row], out=sums_2D)
        z_M[2 * dim : 2 * dim + 2] = counts = len(support.signal), float(counted_2S[1].sum())
        z_M[2 * dim + 2 : -1] = user_x
        met, wanted, away = (math.sqrt(block.dot(block)) for block in (*sums_2D, user_x - self._x_mean_F))
        length_6 = np.array((met, wanted, away, *counts, 1.0), np.float32)
        return UserShift(self, z_M, length_6, self._gain_A[group(len(support.signal))])


class UserShift(NamedTuple):
    """How one user's events shift the base measure."""

    layout: BaseShift
    z_M: NDArray[np.float32]  # `episodic_ridge.inputs`
    length_6: NDArray[np.float32]  # of its blocks, in the order of `BaseShift.bound_6C`
    gain: float

    def bounds(self) -> Shifts:
        """At least the shift of each of ``item_C``, by Cauchy and Schwarz, block by block, (C,)."""
        return self._shift(self.length_6 @ self.layout.bound_6C)

    def exact(self, rows: Rows) -> Shifts:
        """The shift of some items, (len(rows),)."""
        layout = self.layout
        return self._shift(layout.weight_CM[layout.column_N[rows]] @ self.z_M)

    def all(self) -> Shifts:
        """The shift of each of ``item_C``, (C,)."""
        return self._shift(self.layout.weight_CM[:-1] @ self.z_M)

    def _shift(self, ratio: NDArray[np.float32]) -> Shifts:
        np.maximum(ratio, np.float32(LEAST), out=ratio)
        np.log(ratio, out=ratio)
        ratio *= np.float32(self.gain)
        return ratio
