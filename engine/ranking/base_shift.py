"""The episodic ridge laid out for serving: its shift of some items exactly, of all items bounded from above.

Reading its whole matrix would cost as much as the catalogue; the bound reads six numbers an item. Knows
nothing of embeddings beyond the ridge's inputs.

Shapes: N catalogue, C items of the ridge, M inputs, S support, D columns of the spectral start, F user
features, R signals.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.data.events import Support
from engine.learning.closed_form import TINY
from engine.learning.episodic_ridge import LEAST, EpisodicRidge
from engine.ranking.arrays import array, group

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class UserShift(NamedTuple):
    """How one user's events shift the base measure: ``gain log max(z . weight, LEAST)``."""

    z_M: Floats  # `episodic_ridge.inputs`
    length_6: Floats  # of its blocks, in the order of `BaseShift.bound_6C`
    gain: float


NO_SHIFT = UserShift(np.zeros(1, np.float32), np.zeros(6, np.float32), 0.0)


class BaseShift:
    """``gain[S] log max(z . W_i / pop_i, LEAST)`` of one user's inputs z; 0 for items that are unknown.

    Attributes:
        item_C: rows of the items that it knows.
        weight_CM: ``W_i / pop_i``.
        bound_6C: what ``length_6`` is multiplied by to give at least ``z . W_i / pop_i``.
    """

    def __init__(
        self, ridge: EpisodicRidge, spectral_ND: Floats, warm_N: NDArray[np.bool_], x_mean_F: Floats
    ) -> None:
        item_C = array(ridge.item_C)
        kept = warm_N[item_C]
        self.item_C = item_C[kept]
        weight_MC = array(ridge.weight_MC) / np.exp(array(ridge.log_popularity_C))
        self.weight_CM = np.ascontiguousarray(weight_MC.T[kept])
        self._spectral_ND, self._x_mean_F = spectral_ND, x_mean_F
        self._wanted_R, self._half_at = array(ridge.wanted_R), float(ridge.half_at)
        self._gain_A: list[float] = array(ridge.gain_logit_A.sigmoid()).tolist()
        self.bound_6C = self._summary(spectral_ND.shape[1], x_mean_F)

    def _summary(self, dim: int, x_mean_F: Floats) -> Floats:
        """What a bound needs of each item: three lengths, two weights, an average user's rest, (6, C)."""
        met, wanted, counts = slice(0, dim), slice(dim, 2 * dim), slice(2 * dim, 2 * dim + 2)
        features = slice(2 * dim + 2, -1)
        lengths = [np.linalg.norm(self.weight_CM[:, block], axis=1) for block in (met, wanted, features)]
        average_C = self.weight_CM[:, features] @ x_mean_F + self.weight_CM[:, -1]
        return np.stack([*lengths, *self.weight_CM[:, counts].T, average_C])

    def of(self, support: Support, user_x: Floats, own_S: NDArray[np.float64] | None = None) -> UserShift:
        """The shift for one user; own_S as for `episodic_ridge.inputs`."""
        shots = len(support.signal)
        weight_S = np.ones(shots)
        if own_S is not None:
            own_S = own_S / max(own_S.max(), TINY)
            weight_S = own_S * (shots / max(own_S.sum(), 1.0))
        parts = self._spectral_ND, self._wanted_R, self._x_mean_F, self._half_at
        z_M, length_6 = _inputs(support.item_row, support.signal, weight_S, user_x, *parts)
        return UserShift(z_M, length_6, self._gain_A[group(shots)])

    def all(self, user: UserShift) -> Floats:
        """The shift of each of ``item_C``, (C,)."""
        ratio_C = self.weight_CM @ user.z_M
        return np.asarray(np.log(np.maximum(ratio_C, np.float32(LEAST))) * np.float32(user.gain))


@compiled
def _inputs(
    item_row: Rows,
    signal: Rows,
    weight_S: NDArray[np.float64],
    user_x: Floats,
    spectral_ND: Floats,
    wanted_R: Floats,
    x_mean_F: Floats,
    half_at: float,
) -> tuple[Floats, Floats]:
    """z, (M,), and the lengths of its blocks, (6,), that of the features as they differ from the average."""
    dim = spectral_ND.shape[1]
    z_M = np.zeros(2 * dim + 3 + len(user_x), np.float32)
    for s in range(len(item_row)):
        weight = np.float32(weight_S[s])
        wanted = weight * wanted_R[signal[s]]
        for d in range(dim):
            x = spectral_ND[item_row[s], d]
            z_M[d] += weight * x
            z_M[dim + d] += wanted * x
        z_M[2 * dim + 1] += wanted
    z_M[2 * dim] = len(item_row)
    z_M[: 2 * dim + 2] /= np.float32(1 + len(item_row) / half_at)
    away = np.float32(0)
    for f in range(len(user_x)):
        z_M[2 * dim + 2 + f] = user_x[f]
        away += (user_x[f] - x_mean_F[f]) ** 2
    z_M[-1] = 1
    lengths = _length(z_M[:dim]), _length(z_M[dim : 2 * dim]), math.sqrt(away)
    return z_M, np.array((*lengths, z_M[2 * dim], z_M[2 * dim + 1], 1.0), np.float32)


@compiled
def _length(x_D: Floats) -> float:
    total = np.float32(0)
    for x in x_D:
        total += x * x
    return math.sqrt(total)
