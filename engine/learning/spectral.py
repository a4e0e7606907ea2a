"""The spectral start: item embeddings from what users' histories hold together.

The unit of length is the event: the item of an event has length 1.5 on average, so that rates and
precisions mean the same where most items are rare.

Knows nothing of users' features, of signals or of gradients.

Shapes: U users, N catalogue, D embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

LENGTH = 1.5
"""Mean length of an event's item."""


def item_factors(
    user_row: NDArray[np.int64],
    item_row: NDArray[np.int64],
    shape: tuple[int, int],
    dim: int,
    shrink: float,
    value: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Top eigenvectors of the shrunk cosine between items, scaled to ``LENGTH``, (N, D).

        C = X^T X / (n n^T + shrink),  n_i = sqrt(sum_u X_ui^2),  P0 = V_D sqrt(Lambda_D)

    X is 1 where a user has met an item (n_i^2 is then its count), or holds signed ``value``s.

    ``shrink`` is the count of two items (their geometric mean) at which their cosine is halved: a pair seen
    together once by chance is pulled to zero. Items without events get a zero row. Where fewer than
    ``dim`` eigenvalues are positive the remaining columns are zero.

    Args:
        user_row, item_row: one entry an event; repeated pairs count once.
        shape: (U, N).
        dim: D.
        value: one an event, such as a rating less what was expected; repeated pairs are averaged.

    Source: shrunk item cosine as in Sarwar et al. 2001 and Bell & Koren 2007; its eigenvectors as
    embeddings are those of classical spectral (kernel PCA) methods.
    """
    x_UN = incidence(user_row, item_row, shape, value)
    cosine_NN = shrunk_cosine(x_UN, shrink)
    n = shape[1]
    wanted = min(dim, n - 1)
    if wanted < 1:
        return np.zeros((n, dim), np.float32)
    start = np.random.default_rng(seed).standard_normal(n)
    values, vectors = eigsh(
        LinearOperator((n, n), matvec=cosine_NN.dot, dtype=np.float32), k=wanted, v0=start
    )
    top = np.argsort(-values)
    factors = np.zeros((n, dim), np.float32)
    factors[:, :wanted] = _fix_signs(vectors[:, top]) * np.sqrt(np.maximum(values[top], 0.0))
    length = np.linalg.norm(factors, axis=1)[item_row].mean() if len(item_row) else 1.0
    return (factors * (LENGTH / max(float(length), 1e-12))).astype(np.float32)


def shrink_of(told: float | None, users_N: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """The shrink of `item_factors` that is told, or else ``3 sqrt(m)``.

    m is how many users met the item of a pair of user and item, at the median over such pairs. Where most
    items are rare, a few co-occurrences are all there is. The root and the factor are what served
    rankings on five data sets (CHANGELOG).

    Args:
        users_N: how many users met each item.
    """
    if told is not None:
        return told
    ascending_N = np.sort(users_N)
    pairs_N = ascending_N.cumsum()
    if not len(pairs_N) or not pairs_N[-1]:
        return 0.0
    return 3.0 * math.sqrt(ascending_N[np.searchsorted(pairs_N, pairs_N[-1] / 2)])


def factors_of(
    user_row: NDArray[np.int64],
    item_row: NDArray[np.int64],
    shape: tuple[int, int],
    factors: NDArray[np.float32],
    shrink: float,
) -> Callable[[NDArray[np.bool_], float], NDArray[np.float32]]:
    """The factors as a part of the users would have given them, in the same basis.

        P = C_part V unit,  unit_d = |P0_d| / lambda_d

    with V the eigenvectors of all users: one power iteration, which for all users gives P0 itself.

    Returns: a function of kept_U (bool) and the share of users kept (``shrink`` is scaled by it), (N, D).
    """
    ones = np.ones(len(item_row), np.float32)
    x_UN = sp.csr_matrix((ones, (user_row, item_row)), shape=shape).sign()
    norm_D = np.linalg.norm(factors, axis=0)
    v_ND = factors / np.maximum(norm_D, 1e-9)
    lambda_D = (v_ND * (shrunk_cosine(x_UN, shrink) @ v_ND)).sum(axis=0)
    unit_D = norm_D / np.maximum(lambda_D, 1e-6)

    def of(kept_U: NDArray[np.bool_], share: float) -> NDArray[np.float32]:
        return np.asarray((shrunk_cosine(x_UN[kept_U], shrink * share) @ v_ND) * unit_D, np.float32)

    return of


def incidence(
    user_row: NDArray[np.int64],
    item_row: NDArray[np.int64],
    shape: tuple[int, int],
    value: NDArray[np.float64] | None = None,
) -> sp.csr_matrix:
    """X of `item_factors`, (U, N)."""
    once_UN = sp.csr_matrix((np.ones(len(item_row), np.float32), (user_row, item_row)), shape=shape)
    if value is None:
        return once_UN.sign()  # repeated pairs were summed
    x_UN = sp.csr_matrix((value.astype(np.float32), (user_row, item_row)), shape=shape)
    x_UN.data /= once_UN.data
    return x_UN


def shrunk_cosine(x_UN: sp.csr_matrix, shrink: float) -> sp.csr_matrix:
    """Cosine of item columns with ``shrink`` added to every denominator, (N, N), zero diagonal kept."""
    together = (x_UN.T @ x_UN).tocoo()
    norm = np.sqrt(together.diagonal())
    together.data = together.data / (norm[together.row] * norm[together.col] + shrink)
    return together.tocsr()


def _fix_signs(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """An eigenvector's sign is arbitrary: make its largest entry positive, so that runs agree."""
    largest = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
    return np.asarray(vectors * np.sign(largest))
