"""Which items to ask a newcomer about: those whose answers are expected to tell most about the user.

What an answer is worth is what it would take away from the variance of score differences among the items
that the user will probably be shown; what it is expected to be worth is that times the chance that the user
knows the item at all. Knows nothing of requests.

Shapes: N catalogue, M items that may be asked about, D embedding, K questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.events import Ignored
from engine.ranking.posterior import Array, quadratic
from engine.ranking.scorer import Adapted, Scorer
from engine.ranking.slate import best_rows

POOL = 4000
"""Items that may be asked about: those that most people know."""
SHOWN = 1000
"""Items that the user may be shown: those of the highest scores."""


@dataclass(frozen=True)
class Question:
    """An item to ask about."""

    item_id: str
    gain: float  # how much of the variance among probable recommendations the answer is expected to take away
    known: float  # the chance that the user knows the item


@dataclass(frozen=True)
class Questions:
    """Items to ask about, the most telling first; each gain is what those before leave over."""

    items: tuple[Question, ...]
    shots: int  # events that counted
    ignored: tuple[Ignored, ...]  # events that did not
    unknown_candidates: tuple[str, ...] = ()
    unknown_features: tuple[str, ...] = ()

    @property
    def item_ids(self) -> list[str]:
        return [item.item_id for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Question]:
        return iter(self.items)


def questions(
    scorer: Scorer, user: Adapted, open_N: NDArray[np.bool_], signal: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Which of the open items to ask about: rows, expected gains and chances of an answer, (K,).

    Args:
        signal: that of an expected answer.
    """
    known_N = scorer.known_N
    pool_M = best_rows(known_N, open_N, POOL)
    shown_M, score_M = scorer.best(user, SHOWN)
    weight_M = np.exp(score_M.astype(np.float64) - score_M[0])
    stake_DD = stake(scorer.phi_ND[shown_M] * scorer.scale_D, weight_M / weight_M.sum())
    phi_MD, known_M = scorer.phi_ND[pool_M], known_N[pool_M].astype(np.float64)
    precision_M = scorer.adapter.answer_precision(signal, phi_MD, user.posterior)
    rows, gains = most_telling(user.posterior.covariance, phi_MD, precision_M, known_M, stake_DD, k)
    return pool_M[rows], gains, known_M[rows]


def most_telling(
    covariance_DD: NDArray[np.float64],
    phi_MD: Array,
    precision_M: NDArray[np.float64],
    known_M: NDArray[np.float64],
    stake_DD: NDArray[np.float64],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Greedily, the K questions that are expected to lower ``trace(stake A^-1)`` most.

    An answer about item i with precision c turns A^-1 = V into ``V - c V phi phi^T V / (1 + c phi^T V phi)``,
    so the trace falls by ``c phi^T V stake V phi / (1 + c phi^T V phi)``. A question that the user can answer
    with chance q counts q times, and as an answer of precision ``q c`` for those that follow.

    Args:
        covariance_DD: V, of the user as known so far.
        phi_MD: embeddings.
        precision_M: c of an answer.
        known_M: q, the chance of an answer.
        stake_DD: what matters, such as the covariance of the items that will be shown.
        k: at most this many.

    Returns: rows of ``phi_MD`` and what each is expected to take away, both (K,).

    Source: greedy V-optimal design; rank-one updates of Sherman & Morrison 1950.
    """
    v_DD = covariance_DD.copy()
    chosen: list[int] = []
    gains: list[float] = []
    open_M = np.ones(len(phi_MD), np.bool_)
    for _ in range(min(k, len(phi_MD))):
        falls_M = precision_M * quadratic(phi_MD, v_DD @ stake_DD @ v_DD)
        gain_M = np.where(open_M, known_M * falls_M / (1 + precision_M * quadratic(phi_MD, v_DD)), -1.0)
        row = int(gain_M.argmax())
        chosen.append(row)
        gains.append(float(gain_M[row]))
        open_M[row] = False
        v_DD = told(v_DD, phi_MD[row].astype(np.float64), float(known_M[row] * precision_M[row]))
    return np.array(chosen, np.int64), np.array(gains)


def told(
    covariance_DD: NDArray[np.float64], phi_D: NDArray[np.float64], precision: float
) -> NDArray[np.float64]:
    """The covariance after one more event: a rank-one downdate."""
    spread_D = covariance_DD @ phi_D
    return covariance_DD - np.outer(spread_D, spread_D) * (
        precision / (1 + precision * float(phi_D @ spread_D))
    )


def stake(direction_MD: Array, weight_M: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of directions under weights that sum to 1: ``trace(stake V)`` is the weighted variance of
    score differences, (D, D)."""
    centred_MD = direction_MD - weight_M @ direction_MD
    return np.asarray((weight_M[:, None] * centred_MD).T @ centred_MD, np.float64)
