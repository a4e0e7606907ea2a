"""The episodic ridge laid out for serving: its shift of some items exactly, of all items bounded from above.

Reading its whole matrix would cost as much as the catalogue; the bound reads six numbers an item. Knows
nothing of embeddings beyond the ridge's inputs.

Shapes: N catalogue, C items of the ridge, M inputs, D columns of the spectral start, F user features.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.data.events import Support
from engine.learning.episodic_ridge import LEAST, EpisodicRidge
from engine.ranking.arrays import array, group


class BaseShift:
    """``gain[S] log max(z . W_i / pop_i, LEAST)`` of one user's inputs z; 0 for other items."""

    def __init__(
        self,
        ridge: EpisodicRidge,
        spectral_ND: NDArray[np.float32],
        warm_N: NDArray[np.bool_],
        x_mean_F: NDArray[np.float32],
    ) -> None:
        item_C = array(ridge.item_C)
        kept = warm_N[item_C]
        self.item_C = item_C[kept]
        self._weight_CM = np.ascontiguousarray(
            (array(ridge.weight_MC) / np.exp(array(ridge.log_popularity_C))).T[kept]
        )
        self._column_N = np.full(len(warm_N), -1)
        self._column_N[self.item_C] = np.arange(len(self.item_C))
        self._spectral_ND, self._x_mean_F = spectral_ND, x_mean_F
        self._wanted_R = array(ridge.wanted_R)
        self._gain_A = array(ridge.gain_logit_A.sigmoid())
        self._bound_6C = self._summary(spectral_ND.shape[1], x_mean_F)
        self._most_6 = self._bound_6C.max(axis=1, initial=0.0)

    def _summary(self, dim: int, x_mean_F: NDArray[np.float32]) -> NDArray[np.float32]:
        """What `bound` needs of each item: three lengths, two weights, an average user's rest, (6, C)."""
        met, wanted, (counts, features, one) = self._blocks(dim)
        weight_CM = self._weight_CM
        lengths = [np.linalg.norm(weight_CM[:, block], axis=1) for block in (met, wanted, features)]
        average_C = weight_CM[:, features] @ x_mean_F + weight_CM[:, one][:, 0]
        return np.ascontiguousarray(np.stack([*lengths, *weight_CM[:, counts].T, average_C]), np.float32)

    def _blocks(self, dim: int) -> tuple[slice, slice, tuple[slice, slice, slice]]:
        size = self._weight_CM.shape[1]
        rest = (slice(2 * dim, 2 * dim + 2), slice(2 * dim + 2, size - 1), slice(size - 1, size))
        return slice(0, dim), slice(dim, 2 * dim), rest

    def inputs(self, support: Support, user_x: NDArray[np.float32]) -> NDArray[np.float32]:
        """z, (M,): `episodic_ridge.inputs` of one user."""
        place_SD, dim = self._spectral_ND[support.item_row], self._spectral_ND.shape[1]
        both_2S = np.ones((2, len(support.signal)), np.float32)
        both_2S[1] = self._wanted_R[support.signal]
        z_M = np.ones(2 * dim + 3 + len(user_x), np.float32)
        np.dot(both_2S, place_SD, out=z_M[: 2 * dim].reshape(2, dim))
        z_M[2 * dim], z_M[2 * dim + 1] = len(support.signal), both_2S[1].sum()
        z_M[2 * dim + 2 : -1] = user_x
        return z_M

    def most(self, z_M: NDArray[np.float32], shots: int) -> float:
        """At least the shift of any item."""
        ratio = max(float(self._lengths(z_M) @ self._most_6), 1.0)  # 1 is no shift
        return float(self._gain_A[group(shots)]) * math.log(ratio)

    def bound(self, z_M: NDArray[np.float32], shots: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """At least the shift of some items, by Cauchy and Schwarz, block by block, (len(rows),)."""
        return self._of(rows, shots, lambda column: self._lengths(z_M) @ self._bound_6C[:, column])

    def _lengths(self, z_M: NDArray[np.float32]) -> NDArray[np.float32]:
        dim = self._spectral_ND.shape[1]
        met, wanted, (counts, features, _) = self._blocks(dim)
        away_F = z_M[features] - self._x_mean_F
        blocks = (z_M[met], z_M[wanted], away_F)
        return np.array([*(math.sqrt(b @ b) for b in blocks), *z_M[counts], 1.0], np.float32)

    def exact(self, z_M: NDArray[np.float32], shots: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The shift of some items, (len(rows),)."""
        return self._of(rows, shots, lambda column: self._weight_CM[column] @ z_M)

    def all(self, z_M: NDArray[np.float32], shots: int) -> NDArray[np.float32]:
        """The shift of each of ``item_C``, (C,)."""
        return self._shift(self._weight_CM @ z_M, shots)

    def _of(
        self,
        rows: NDArray[np.int64],
        shots: int,
        ratio: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        column = self._column_N[rows]
        known = column >= 0
        shift = np.zeros(len(rows), np.float32)
        shift[known] = self._shift(ratio(column[known]), shots)
        return shift

    def _shift(self, ratio: NDArray[np.float32], shots: int) -> NDArray[np.float32]:
        np.maximum(ratio, np.float32(LEAST), out=ratio)
        np.log(ratio, out=ratio)
        ratio *= self._gain_A[group(shots)]
        return ratio
