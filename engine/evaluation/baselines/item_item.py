"""Item-kNN and EASE: a user's scores are the sum of the support items' rows of an item-item matrix.

Knows nothing of popularity blending or tuning.

Shapes: N catalogue, C core items, B users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import spotrf, spotri

from engine.data.episodes import Episodes
from engine.evaluation.baselines.knowledge import Events, Knowledge


@dataclass(frozen=True)
class ItemItem:
    """A fitted item-item matrix; items outside the core score 0."""

    knowledge: Knowledge
    weight: NDArray[np.float32]  # (C, C) row: an item of the support; column: the item it speaks for

    def score(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        x_BN = self.knowledge.support(episodes, events)
        scores_BN = np.zeros_like(x_BN)
        scores_BN[:, self.knowledge.core] = x_BN[:, self.knowledge.core] @ self.weight
        return scores_BN


def fit_item_knn(
    knowledge: Knowledge,
    learn_from: Events = "liked",
    shrink: float = 10.0,
    neighbours: int | None = None,
) -> ItemItem:
    """Shrunk cosine between items, each item keeping its nearest neighbours (Sarwar et al. 2001).

        W_ij = n_ij / (sqrt(n_i n_j) + shrink)

    ``shrink`` is the number of common users a pair needs before its cosine is believed.

    Args:
        learn_from: count users who liked both items, or who had any event with both.
        neighbours: for each item scored, how many others may speak for it (None: all).
    """
    together = knowledge.gram(learn_from)
    norm = np.sqrt(together.diagonal())
    weight_CC = together / np.maximum(np.outer(norm, norm) + shrink, 1e-12).astype(np.float32)
    np.fill_diagonal(weight_CC, 0)
    C = len(weight_CC)
    if neighbours is not None and neighbours < C:
        least = np.partition(weight_CC, C - neighbours, axis=0)[C - neighbours]
        weight_CC = np.where(weight_CC >= least, weight_CC, np.float32(0))
    return ItemItem(knowledge, np.asarray(weight_CC, np.float32))


def fit_ease(
    knowledge: Knowledge,
    learn_from: Events = "liked",
    penalty: float = 500.0,
) -> ItemItem:
    """The linear autoencoder with zero diagonal, in closed form (Steck 2019, EASE^R).

        P = (X^T X + penalty I)^-1,   W_ij = -P_ij / P_jj,   W_jj = 0

    Args:
        learn_from: as in `fit_item_knn`.
        penalty: ridge penalty; the more, the closer to plain co-occurrence.
    """
    regular = knowledge.gram(learn_from).copy()
    regular[np.diag_indices_from(regular)] += np.float32(penalty)
    precision = _inverse(regular)
    weight_CC = np.asarray(-precision / precision.diagonal(), np.float32)
    np.fill_diagonal(weight_CC, 0)
    return ItemItem(knowledge, weight_CC)


def _inverse(positive_CC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of a symmetric positive definite matrix by Cholesky: half the time of the general one."""
    factor, failed = spotrf(positive_CC)
    if failed:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    upper, _ = spotri(factor)
    upper = np.triu(upper)
    return np.asarray(upper + np.triu(upper, 1).T, np.float32)
