"""Which items to ask a newcomer about: those whose answers are expected to tell most about the user.

What an answer is worth is how much it tells about the user's vector, in nats; a question is worth that times
the chance that the user knows the item at all. Questions are chosen among a few drawn at random from the
well-known items, so that answers are events much like those that the prior learned from. The most telling
items of the whole catalogue are always the same popular few; people answer them more often, and are served
worse (CHANGELOG has the figures). Knows nothing of requests.

Shapes: N catalogue, M items that may be asked about, D embedding, K questions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.ranking.posterior import Array, quadratic
from engine.ranking.scorer import Adapted, Scorer
from engine.ranking.slate import best_rows

POOL = 200
"""Items that may be asked about, at least: those that most people know."""

DRAWS = 3
"""Items drawn for each question."""


def questions(
    scorer: Scorer,
    user: Adapted,
    open_N: NDArray[np.bool_],
    signal: int,
    k: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Which of the open items to ask about: rows, expected gains and chances of an answer, (K,).

    Args:
        signal: that of an expected answer.
        rng: draws the items among which is chosen.
    """
    known_N = scorer.known_N
    well_known = best_rows(known_N, open_N, max(POOL, DRAWS * k))
    pool_M = rng.choice(well_known, min(DRAWS * k, len(well_known)), replace=False)
    phi_MD, known_M = scorer.phi_ND[pool_M], known_N[pool_M].astype(np.float64)
    precision_M = scorer.adapter.answer_precision(signal, phi_MD, user.posterior)
    rows, gains = most_telling(user.posterior.covariance, phi_MD, precision_M, known_M, k)
    return pool_M[rows], gains, known_M[rows]


def most_telling(
    covariance_DD: NDArray[np.float64],
    phi_MD: Array,
    precision_M: NDArray[np.float64],
    known_M: NDArray[np.float64],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Greedily, the K questions that are expected to tell most about w.

    An answer about item i with precision c tells ``1/2 log(1 + c phi^T V phi)`` nats about ``w ~ N(., V)``,
    the mutual information of the two. A question that the user can answer with chance q counts q times, and
    for the questions that follow as an answer of precision ``q c``, which takes V to
    ``V - q c V phi phi^T V / (1 + q c phi^T V phi)``.

    Args:
        covariance_DD: V, of the user as known so far.
        phi_MD: embeddings.
        precision_M: c of an answer.
        known_M: q, the chance of an answer.
        k: at most this many.

    Returns: rows of ``phi_MD`` and what each is expected to tell, both (K,).

    Source: greedy D-optimal design, within 1 - 1/e of the best set of certain answers (Nemhauser et al.
    1978); rank-one updates of Sherman & Morrison 1950.
    """
    v_DD = covariance_DD.copy()
    chosen: list[int] = []
    gains: list[float] = []
    open_M = np.ones(len(phi_MD), np.bool_)
    for _ in range(min(k, len(phi_MD))):
        told_M = 0.5 * np.log1p(precision_M * quadratic(phi_MD, v_DD))
        gain_M = np.where(open_M, known_M * told_M, -1.0)
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
