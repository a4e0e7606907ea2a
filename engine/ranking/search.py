"""The K best of the catalogue for one user, exactly, in one pass over bounds of the scores.

A score is dear: it reads whole rows of the embeddings and of the episodic ridge. It is computed only of
items whose bound reaches the K-th best score so far, and whole blocks of items are passed over where the
bound of a block does not. Popular items come first, so that the K-th best is soon high. Knows nothing of
how a user's vector came about.

Shapes: N catalogue, D embedding, C items of the ridge, M its inputs, G blocks of B items, E rows of the
sketch, K slate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled, compiled_unlocked
from engine.learning.episodic_ridge import LEAST
from engine.ranking.sketch import Codes

BLOCK = 512
ROUNDING = 3e-5
"""By how much, of its size, a bound may fall below its score."""
HALF = 0.5001
"""Of a code's step: how far a value may lie above what its code stands for."""
_CURVE, _LIFT = np.float32(1 / 3), np.float32(0.0098)
"""``log2(1 + m) <= m + CURVE m (1 - m) + LIFT`` for m in 0..1, by at most twice the lift."""

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class Tables(NamedTuple):
    """A catalogue laid out for search."""

    phi_ND: Floats
    scale_D: Floats  # of a user's vector
    base_N: Floats
    weight_CM: Floats  # `BaseShift`
    column_N: Rows  # of ``weight_CM``; -1: none
    row_GB: Rows  # the order of search: the ridge's items first, then by base measure; -1: no item
    turn_DD: Floats  # `Sketch`, of items
    user_turn_DD: Floats  # its inverse
    codes: Codes  # of the sketch
    ridge_G6B: Floats  # `BaseShift`, of the first blocks
    most_G8: Floats  # of each block: the longest x, the highest base measure, the most of ``ridge_G6B``


class Aim(NamedTuple):
    """What items are ordered by: ``w scale . phi + base_weight base + shift + bonus deviation``."""

    w_D: NDArray[np.float64]
    base_weight: float
    z_M: Floats  # `UserShift`
    length_6: Floats
    gain: float
    bonus: float
    covariance_DD: NDArray[np.float64]  # of ``w scale``


@compiled
def best(
    tables: Tables, aim: Aim, k: int, allowed_N: NDArray[np.bool_], barred: Rows, most: int
) -> tuple[Rows, Floats, bool]:
    """Rows and scores of the K best, best first, both (K,); fewer where there are fewer. Ties: the lower row.

    Args:
        allowed_N: the candidates; empty: all items.
        barred: rows that are left out besides.
        most: blocks that are read, at most.

    Returns:
        Rows, scores, and whether blocks that were not read may hold better items.
    """
    u_D = scaled(tables, aim)
    weight_E, length_v = weights_of(tables, aim, u_D)
    row_K, score_K, n = np.empty(k, np.int64), np.empty(k, np.float32), 0
    upper_B, shift_B = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    n_read = 0
    for g in range(len(tables.row_GB)):
        if most_of(tables, aim, g, length_v) < reach_of(score_K, n):
            continue
        if n_read == most:
            return row_K[:n], score_K[:n], True
        n_read += 1
        _decode(weight_E, tables.codes, g, upper_B)
        add_shift(tables, aim, g, upper_B, shift_B)
        n = take(tables, aim, u_D, g, upper_B, shift_B, allowed_N, barred, n, row_K, score_K)
    return row_K[:n], score_K[:n], False


@compiled
def take(
    tables: Tables,
    aim: Aim,
    u_D: Floats,
    g: int,
    upper_B: Floats,
    shift_B: Floats,
    allowed_N: NDArray[np.bool_],
    barred: Rows,
    n: int,
    row_K: Rows,
    score_K: Floats,
) -> int:
    """Put what a block has of better items among the n best so far; returns how many there are then."""
    reach = reach_of(score_K, n)
    for j in range(BLOCK):
        if upper_B[j] < reach:
            continue
        row = tables.row_GB[g, j]
        if row < 0 or not _may(row, allowed_N, barred):
            continue
        score = _unshifted(u_D, tables.phi_ND[row], aim.base_weight, tables.base_N[row])
        if aim.bonus > 0:
            score += _bonus(aim.bonus, aim.covariance_DD, tables.phi_ND[row])
        if score + shift_B[j] < reach:
            continue
        column = tables.column_N[row]
        if column >= 0:
            score += _shift(aim.z_M, tables.weight_CM[column], aim.gain)
        n = _keep(row, score, n, row_K, score_K)
        reach = reach_of(score_K, n)
    return n


@compiled
def reach_of(score_K: Floats, n: int) -> np.float32:
    """What a bound must reach, for its item to be looked at."""
    if n < len(score_K):
        return np.float32(-np.inf)
    return np.float32(score_K[-1] - np.float32(ROUNDING) * (np.float32(1) + abs(score_K[-1])))


@compiled_unlocked
def best_unlocked(
    tables: Tables, aim: Aim, k: int, allowed_N: NDArray[np.bool_], barred: Rows, most: int
) -> tuple[Rows, Floats, bool]:
    """`best`, in a thread beside others."""
    return best(tables, aim, k, allowed_N, barred, most)


@compiled
def scores_of(tables: Tables, aim: Aim, rows: Rows) -> Floats:
    """What some items are ordered by, (len(rows),)."""
    u_D, scores = scaled(tables, aim), np.empty(len(rows), np.float32)
    for i in range(len(rows)):
        row = rows[i]
        score = _unshifted(u_D, tables.phi_ND[row], aim.base_weight, tables.base_N[row])
        if aim.bonus > 0:
            score += _bonus(aim.bonus, aim.covariance_DD, tables.phi_ND[row])
        column = tables.column_N[row]
        if column >= 0:
            score += _shift(aim.z_M, tables.weight_CM[column], aim.gain)
        scores[i] = score
    return scores


@compiled
def scaled(tables: Tables, aim: Aim) -> Floats:
    u_D = np.empty(len(aim.w_D), np.float32)
    for d in range(len(u_D)):
        u_D[d] = aim.w_D[d] * tables.scale_D[d]
    return u_D


@compiled
def weights_of(tables: Tables, aim: Aim, u_D: Floats) -> tuple[Floats, float]:
    """For each row of the sketch, in its order, what it counts; and the length of v."""
    n_read = tables.codes.code_GEB.shape[1] - 3
    weight_E, read, left = np.empty(n_read + 3, np.float32), np.float32(0), np.float32(0)
    for d in range(len(u_D)):
        v = _dot(tables.user_turn_DD[d], u_D)
        if d < n_read:
            weight_E[d] = v
            read += v * v
        else:
            left += v * v
    weight_E[n_read], weight_E[n_read + 1], weight_E[n_read + 2] = math.sqrt(left), aim.base_weight, aim.bonus
    return weight_E, math.sqrt(read + left)


@compiled
def most_of(tables: Tables, aim: Aim, g: int, length_v: float) -> float:
    """No item of a block has more."""
    most_8, shift = tables.most_G8[g], 0.0
    if g < len(tables.ridge_G6B):
        shift = aim.gain * math.log(max(_dot(aim.length_6, most_8[2:]), LEAST))
    return float((length_v + aim.bonus) * most_8[0] + aim.base_weight * most_8[1] + shift)


@compiled
def add_shift(tables: Tables, aim: Aim, g: int, upper_B: Floats, shift_B: Floats) -> None:
    """At least the shift of each item of a block, and add it to ``upper_B``."""
    shift_B[:] = np.float32(0)
    if g >= len(tables.ridge_G6B):
        return
    add_rows(aim.length_6, tables.ridge_G6B[g], shift_B)
    gain, least = np.float32(aim.gain * math.log(2)), np.float32(LEAST)
    for j in range(BLOCK):
        shift_B[j] = max(shift_B[j], least)
    bits_B = shift_B.view(np.int32)  # exponent and mantissa: log2 but for a curve
    for j in range(BLOCK):
        m = np.float32(bits_B[j] & 0x7FFFFF) * np.float32(2**-23)
        log2 = np.float32((bits_B[j] >> 23) - 127) + m + _CURVE * m * (np.float32(1) - m) + _LIFT
        shift_B[j] = gain * log2
        upper_B[j] += shift_B[j]


@compiled
def _decode(weight_E: Floats, codes: Codes, g: int, upper_B: Floats) -> None:
    """At least ``weight_E`` times what the codes of a block stand for, two rows at a time."""
    n = len(weight_E)
    scaled_E = np.zeros(n + n % 2, np.float32)
    scaled_E[:n] = weight_E * codes.step_GE[g]
    upper_B[:] = _dot(weight_E, codes.least_GE[g]) + doubt(weight_E, codes.step_GE[g])
    code_EB = codes.code_GEB[g]
    for e in range(0, n, 2):
        one_B, two_B = code_EB[e], code_EB[min(e + 1, n - 1)]
        for j in range(BLOCK):
            upper_B[j] += scaled_E[e] * np.float32(one_B[j]) + scaled_E[e + 1] * np.float32(two_B[j])


@compiled
def doubt(weight_E: Floats, step_E: Floats) -> np.float32:
    """By how much a sum of what codes stand for may lie below that of the values."""
    total = np.float32(0)
    for e in range(len(weight_E)):
        total += np.float32(HALF) * abs(weight_E[e]) * step_E[e]
    return total


@compiled
def add_rows(weight_E: Floats, table_EB: Floats, sum_B: Floats) -> None:
    """``sum_B += weight_E @ table_EB``, two rows at a time."""
    for e in range(0, len(weight_E) - 1, 2):
        for j in range(BLOCK):
            sum_B[j] += weight_E[e] * table_EB[e, j] + weight_E[e + 1] * table_EB[e + 1, j]
    if len(weight_E) % 2:
        for j in range(BLOCK):
            sum_B[j] += weight_E[-1] * table_EB[-1, j]


@compiled
def _unshifted(u_D: Floats, phi_D: Floats, base_weight: float, base: np.float32) -> np.float32:
    return np.float32(_dot(u_D, phi_D) + np.float32(base_weight) * base)


@compiled
def _bonus(bonus: float, covariance_DD: NDArray[np.float64], phi_D: Floats) -> np.float32:
    variance = 0.0
    for d in range(len(phi_D)):
        variance += phi_D[d] * _dot(covariance_DD[d], phi_D)
    return np.float32(bonus * math.sqrt(max(variance, 0.0)))


@compiled
def _shift(z_M: Floats, weight_M: Floats, gain: float) -> np.float32:
    return np.float32(gain * math.log(max(_dot(z_M, weight_M), LEAST)))


@compiled
def _dot(a_D: Floats | NDArray[np.float64], b_D: Floats) -> float:
    total: float = a_D[0] * b_D[0]
    for d in range(1, len(a_D)):
        total += a_D[d] * b_D[d]
    return total


@compiled
def _may(row: int, allowed_N: NDArray[np.bool_], barred: Rows) -> bool:
    """Whether an item may be among the best."""
    if len(allowed_N) and not allowed_N[row]:
        return False
    for other in barred:  # noqa: SIM110
        if other == row:
            return False
    return True


@compiled
def _keep(row: int, score: np.float32, n: int, row_K: Rows, score_K: Floats) -> int:
    """Put an item where it belongs among the n best so far; returns how many there are then."""
    place = n
    while place > 0 and (
        score > score_K[place - 1] or (score == score_K[place - 1] and row < row_K[place - 1])
    ):
        place -= 1
        if place + 1 < len(row_K):
            row_K[place + 1], score_K[place + 1] = row_K[place], score_K[place]
    if place < len(row_K):
        row_K[place], score_K[place] = row, score
    return min(n + 1, len(row_K))
