"""Lays a catalogue out for `search`: in its order, in blocks, with a bound of each block.

Knows nothing of users.

Shapes: N catalogue, D embedding, C items of the ridge, G blocks of B items, T rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.ranking.base_shift import BaseShift
from engine.ranking.search import BLOCK, Tables
from engine.ranking.sketch import Sketch

Floats = NDArray[np.float32]
T = TypeVar("T", bound=np.generic)


def laid_out(
    phi_ND: Floats,
    scale_D: Floats,
    base_N: Floats,
    covariance_DD: NDArray[np.float64],
    shift: BaseShift | None,
) -> Tables:
    """Items that the ridge knows come first, then the others, each by base measure.

    Args:
        scale_D: of users' vectors in a score.
        covariance_DD: of users' vectors, scaled, under the prior.
    """
    item_C = np.empty(0, np.int64) if shift is None else shift.item_C
    weight_CM = np.zeros((0, 1), np.float32) if shift is None else shift.weight_CM
    bound_6C = np.zeros((6, 0), np.float32) if shift is None else shift.bound_6C
    column_N = np.full(len(base_N), -1)
    column_N[item_C] = np.arange(len(item_C))
    order_N = np.lexsort((-base_N, column_N < 0))
    turn_DD, table_EN = Sketch.of(phi_ND, base_N, covariance_DD)
    sketch_GEB = _blocks(table_EN[:, order_N], [0] * len(table_EN))
    ridge_G6B = _blocks(bound_6C[:, column_N[order_N[: len(item_C)]]], [0, 0, 0, 0, 0, 1])
    row_GB = _blocks(order_N[None], [-1])[:, 0]
    most_G8 = np.zeros((len(row_GB), 8), np.float32)
    most_G8[:, 0] = sketch_GEB[:, -1].max(axis=1)
    most_G8[:, 1] = np.where(row_GB >= 0, sketch_GEB[:, -2], -np.inf).max(axis=1)
    most_G8[: len(ridge_G6B), 2:] = ridge_G6B.max(axis=2)
    return Tables(
        phi_ND, scale_D, base_N, weight_CM, column_N, row_GB, turn_DD, sketch_GEB, ridge_G6B, most_G8
    )


def _blocks(table_TN: NDArray[T], filling: Sequence[float]) -> NDArray[T]:
    """The columns of a table by blocks, the last one filled up, (G, T, B)."""
    missing = -table_TN.shape[1] % BLOCK
    filling_TN = np.repeat(np.array(filling, table_TN.dtype)[:, None], missing, axis=1)
    filled_TN = np.concatenate([table_TN, filling_TN], axis=1)
    return np.ascontiguousarray(filled_TN.reshape(len(table_TN), -1, BLOCK).swapaxes(0, 1))
