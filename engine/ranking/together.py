"""The K best of the catalogue for several users in one pass: what a block stands for is decoded once for all.

Worth it where popularity says little, so that searches read far into a large catalogue; else each user's own
`search.best` is as fast. Other threads run meanwhile. Knows nothing of requests.

Shapes: U users, N catalogue, D embedding, M inputs of the ridge, G blocks of B items, E rows of the sketch,
K slate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled, compiled_unlocked
from engine.ranking.search import (
    BLOCK,
    Aim,
    Floats,
    Rows,
    Tables,
    add_rows,
    add_shift,
    best_unlocked,
    doubt,
    most_of,
    reach_of,
    scaled,
    take,
    weights_of,
)


class Aims(NamedTuple):
    """`Aim` of several users, who do not explore."""

    w_UD: NDArray[np.float64]
    base_weight_U: NDArray[np.float64]
    z_UM: Floats
    length_U6: Floats
    gain_U: NDArray[np.float64]
    covariance_DD: NDArray[np.float64]


def best_together(
    tables: Tables, aims: Sequence[Aim], ks: Sequence[int], barred: Sequence[Rows]
) -> list[tuple[Rows, Floats]]:
    """Rows and scores of each user's K best, as `search.best` of all items but those that are barred."""
    if len(aims) == 1:
        everything, n_blocks = np.empty(0, np.bool_), len(tables.row_GB)
        rows_K, scores_K, _ = best_unlocked(tables, aims[0], ks[0], everything, barred[0], n_blocks)
        return [(rows_K, scores_K)]
    w, base_weight, z, length, gain, _, covariance = zip(*aims, strict=True)
    stacked = Aims(
        np.stack(w), np.array(base_weight), np.stack(z), np.stack(length), np.array(gain), covariance[0]
    )
    end_U = np.cumsum([len(rows) for rows in barred])
    row_UK, score_UK, n_U = _together(tables, stacked, np.array(ks), np.concatenate(barred), end_U)
    return [(row_K[:n], score_K[:n]) for row_K, score_K, n in zip(row_UK, score_UK, n_U, strict=True)]


@compiled_unlocked
def _together(
    tables: Tables, aims: Aims, k_U: Rows, barred: Rows, end_U: Rows
) -> tuple[NDArray[np.int64], Floats, Rows]:
    n_users, n_rows = len(k_U), tables.codes.code_GEB.shape[1]
    u_UD, length_U = np.empty(aims.w_UD.shape, np.float32), np.empty(n_users)
    weight_UE = np.empty((n_users, n_rows), np.float32)
    for i in range(n_users):
        u_UD[i] = scaled(tables, _one(aims, i))
        weight_UE[i], length_U[i] = weights_of(tables, _one(aims, i), u_UD[i])
    n_U, none_N = np.zeros(n_users, np.int64), np.empty(0, np.bool_)
    row_UK, score_UK = np.empty((n_users, k_U.max()), np.int64), np.empty((n_users, k_U.max()), np.float32)
    value_EB = np.empty((n_rows, BLOCK), np.float32)
    upper_B, shift_B = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for g in range(len(tables.row_GB)):
        decoded = False
        for i in range(n_users):
            aim, k = _one(aims, i), k_U[i]
            if most_of(tables, aim, g, length_U[i]) < reach_of(score_UK[i, :k], n_U[i]):
                continue
            if not decoded:
                _values(tables, g, value_EB)
                decoded = True
            upper_B[:] = doubt(weight_UE[i], tables.codes.step_GE[g])
            add_rows(weight_UE[i], value_EB, upper_B)
            add_shift(tables, aim, g, upper_B, shift_B)
            own = barred[end_U[i - 1] if i else 0 : end_U[i]]
            n_U[i] = take(
                tables, aim, u_UD[i], g, upper_B, shift_B, none_N, own, n_U[i], row_UK[i, :k], score_UK[i, :k]
            )
    return row_UK, score_UK, n_U


@compiled
def _one(aims: Aims, i: int) -> Aim:
    return Aim(
        aims.w_UD[i],
        aims.base_weight_U[i],
        aims.z_UM[i],
        aims.length_U6[i],
        aims.gain_U[i],
        0.0,
        aims.covariance_DD,
    )


@compiled
def _values(tables: Tables, g: int, value_EB: Floats) -> None:
    """What the codes of a block stand for."""
    code_EB = tables.codes.code_GEB[g]
    for e in range(len(value_EB)):
        least, step = tables.codes.least_GE[g, e], tables.codes.step_GE[g, e]
        for j in range(BLOCK):
            value_EB[e, j] = least + step * np.float32(code_EB[e, j])
