"""iALS: matrix factorisation of implicit feedback, and the closed-form fold-in of a new user.

Knows nothing of popularity blending or tuning.

Shapes: U training users, N catalogue, D factors, B rows solved at once, S entries a row (padded).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.episodes import Episodes, pad_support
from engine.evaluation.baselines.knowledge import Events, Knowledge, usable_support

ROWS_AT_ONCE = 128
Factors = NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """The loss is ``sum_ui c_ui (p_ui - x_u . y_i)^2 + penalty (|X|^2 + |Y|^2)``.

    ``p_ui`` is 1 and ``c_ui`` is ``confidence`` where the user liked the item; elsewhere 0 and 1. A
    lower confidence takes the unseen more seriously (Hu, Koren and Volinsky 2008; Rendle et al. 2022
    write ``1 / w0`` for ``confidence - 1``).
    """

    confidence: float
    penalty: float


@dataclass(frozen=True)
class IALS:
    """Fitted item factors; a new user is folded in from the support."""

    items: Factors  # (N, D)
    weights: Weights
    relevant: NDArray[np.bool_]  # by signal

    def score(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        usable = usable_support(episodes, self.relevant, events)
        users_BD = solve_rows(self.items, episodes.support_item.numpy(), usable, self.weights)
        return users_BD @ self.items.T


def fit_ials(
    knowledge: Knowledge,
    dim: int = 32,
    confidence: float = 3.0,
    penalty: float = 30.0,
    passes: int = 8,
    seed: int = 0,
) -> IALS:
    """Alternate between users and items from a small random start.

    Args:
        dim: D.
        confidence, penalty: see `Weights`.
        passes: how often each side is solved.
    """
    rng = np.random.default_rng(seed)
    users_UN, items_NU = knowledge.liked, knowledge.liked.T.tocsr()
    weights = Weights(confidence, penalty)
    items_ND = (rng.standard_normal((knowledge.n_items, dim)) * 0.1 / np.sqrt(dim)).astype(np.float32)
    for _ in range(passes):
        users_UD = solve_side(items_ND, users_UN, weights)
        items_ND = solve_side(users_UD, items_NU, weights)
    return IALS(items_ND, weights, knowledge.relevant)


def solve_side(fixed_ND: Factors, x_UN: sp.csr_array, weights: Weights) -> Factors:
    """Best factors of every row of ``x`` with the other side fixed, (U, D)."""
    solved = np.empty((x_UN.shape[0], fixed_ND.shape[1]), np.float32)
    lengths = np.diff(x_UN.indptr)
    by_length = np.argsort(lengths, kind="stable")  # rows of like length share a block: little padding
    for start in range(0, len(by_length), ROWS_AT_ONCE):
        rows = by_length[start : start + ROWS_AT_ONCE]
        entries = [x_UN.indices[x_UN.indptr[r] : x_UN.indptr[r + 1]].astype(np.int64) for r in rows]
        support = pad_support(entries, entries)
        solved[rows] = solve_rows(fixed_ND, support.item, support.present, weights)
    return solved


def solve_rows(
    fixed_ND: Factors, item_BS: NDArray[np.int64], present_BS: NDArray[np.bool_], weights: Weights
) -> Factors:
    """Fold in: the minimiser of the loss for each row, (B, D); zero for a row without entries.

    A = Y^T Y + (confidence - 1) Y_S^T Y_S + penalty I,   b = confidence * sum of Y_S,   x = A^-1 b
    """
    y_BSD = fixed_ND[item_BS] * present_BS[:, :, None].astype(np.float32)
    A = (weights.confidence - 1) * (y_BSD.transpose(0, 2, 1) @ y_BSD)
    A += fixed_ND.T @ fixed_ND + weights.penalty * np.eye(fixed_ND.shape[1], dtype=np.float32)
    b = weights.confidence * y_BSD.sum(axis=1)
    return np.linalg.solve(A, b[:, :, None])[:, :, 0].astype(np.float32)


def loss(users_UD: Factors, items_ND: Factors, x_UN: sp.csr_array, weights: Weights) -> float:
    """The loss of `Weights`, computed over the dense matrix: for tests and small data."""
    liked = x_UN.toarray()
    confidence = 1 + (weights.confidence - 1) * liked
    fit = confidence * (liked - users_UD @ items_ND.T) ** 2
    return float(fit.sum() + weights.penalty * ((users_UD**2).sum() + (items_ND**2).sum()))
