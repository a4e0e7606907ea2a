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
from engine.ranking.sketch import Codes, Sketch

Floats = NDArray[np.float32]
T = TypeVar("T", bound=np.generic)

AT_ONCE = 256
"""Blocks that are coded together."""


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
    row_GB = _blocks(np.lexsort((-base_N, column_N < 0))[None], [-1])[:, 0]
    ridge_GB = row_GB.reshape(-1)[: len(item_C)]
    ridge_G6B = _blocks(bound_6C[:, column_N[ridge_GB]], [0, 0, 0, 0, 0, 1])
    sketch = Sketch.of(phi_ND, covariance_DD)
    parts = [_coded(sketch, phi_ND, base_N, row_GB[g : g + AT_ONCE]) for g in range(0, len(row_GB), AT_ONCE)]
    code_GEB, least_GE, step_GE, most_G2 = (np.concatenate(part) for part in zip(*parts, strict=True))
    most_G8 = np.zeros((len(row_GB), 8), np.float32)
    most_G8[:, :2] = most_G2
    most_G8[: len(ridge_G6B), 2:] = ridge_G6B.max(axis=2)
    return Tables(
        phi_ND,
        scale_D,
        base_N,
        weight_CM,
        column_N,
        row_GB,
        sketch.turn_DD,
        sketch.user_turn(),
        Codes(code_GEB, least_GE, step_GE),
        ridge_G6B,
        most_G8,
    )


def _coded(
    sketch: Sketch, phi_ND: Floats, base_N: Floats, row_GB: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], Floats, Floats, Floats]:
    """The codes of some blocks, and the longest x and the highest base measure of each, (G, 2).

    Where a block has no item, its first one's row stands.
    """
    filled_GB = np.where(row_GB >= 0, row_GB, row_GB[:, :1])
    rows = filled_GB.reshape(-1)
    table_EN = sketch.rows(phi_ND[rows], base_N[rows])
    table_GEB = np.ascontiguousarray(table_EN.reshape(len(table_EN), *row_GB.shape).swapaxes(0, 1))
    return *Codes.of(table_GEB), table_GEB[:, [-1, -2]].max(axis=2)


def _blocks(table_TN: NDArray[T], filling: Sequence[float]) -> NDArray[T]:
    """The columns of a table by blocks, the last one filled up, (G, T, B)."""
    missing = -table_TN.shape[1] % BLOCK
    filling_TN = np.repeat(np.array(filling, table_TN.dtype)[:, None], missing, axis=1)
    filled_TN = np.concatenate([table_TN, filling_TN], axis=1)
    return np.ascontiguousarray(filled_TN.reshape(len(table_TN), -1, BLOCK).swapaxes(0, 1))
