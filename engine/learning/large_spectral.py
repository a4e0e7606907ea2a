"""The spectral start where neither the items' cosine nor the embeddings fit one worker.

A randomised eigendecomposition: every worker multiplies its users' rows, ``X^T (X Omega)``, part by part, and
one sum over the workers ends each power iteration; of the embeddings each keeps its rows. The cosine is never
formed: its shrunk denominator is split into a few products of a function of one item with that of another.

Knows nothing of users' features, of signals or of gradients.

Shapes: B users, M items and E events of a part, N catalogue, L rows of this worker, D embedding, K columns,
C of them at a time, R terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from engine.learning.exchange import gathered_by_all, own_rows, summed
from engine.learning.spectral import LENGTH, incidence
from engine.learning.workers import rank, world

ITERATIONS, MORE = 3, 16
"""Power iterations, and columns beyond those that are wanted."""
NODES, ROUNDING = 40, 1e-5
COLUMNS, HELD, ROWS = 16, 2**27, 65_536
"""Columns multiplied at once, fewer where they would hold more than so many numbers; rows turned at once."""


class Entries(NamedTuple):
    """Events of some users, by the user's place among them; repeated pairs are as in `item_factors`."""

    n_users: int
    user_E: NDArray[np.int64]
    item_E: NDArray[np.int64]
    value_E: NDArray[np.float64] | None = None


class Rows(NamedTuple):
    """Users' rows of X, and the items that they speak of."""

    x_BM: sp.csr_matrix
    item_M: NDArray[np.int64]  # ascending


def own_factors(
    entries: Callable[[], Iterable[Entries]],
    n: int,
    dim: int,
    shrink: float,
    iterations: int = ITERATIONS,
) -> NDArray[np.float32]:
    """`spectral.item_factors`, this worker's rows of it, (L, D), up to what the iterations leave.

    Args:
        entries: reads this worker's users in parts; it is called for every multiplication.
        n: of the catalogue.

    Source: randomised subspace iteration of Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.3.
    """
    own = own_rows(n)
    wanted = min(dim, n - 1)
    factors_LD = torch.zeros(len(own), dim)
    count_N = _sum(n, ((part.item_E, 1.0) for part in entries()))
    if wanted >= 1:
        cosine = Cosine(lambda: (rows_of(part) for part in entries()), n, shrink)
        place_LK = _orthonormal(_random(n, min(wanted + MORE, n)))
        for _ in range(iterations):
            place_LK = _orthonormal(cosine.times(place_LK))
        turned_KK = summed(place_LK.T @ cosine.times(place_LK)).double()
        value_K, vector_KK = torch.linalg.eigh((turned_KK + turned_KK.T) / 2)
        value_K, vector_KK = value_K.flip(0)[:wanted], vector_KK.flip(1)[:, :wanted]
        factors_LD[:, :wanted] = place_LK @ (vector_KK * value_K.clamp(min=0).sqrt()).float()
    factors_LD *= _signs(factors_LD)
    length = float(summed((factors_LD.norm(dim=1) * torch.from_numpy(count_N)[own]).sum()))
    length /= max(float(count_N.sum()), 1.0)
    scaled: NDArray[np.float32] = (factors_LD * (LENGTH / max(length, 1e-12))).numpy()
    return scaled


def rows_of(entries: Entries) -> Rows:
    """The users' rows of X, without the columns of items that none of them met."""
    item_M, place_E = np.unique(entries.item_E, return_inverse=True)
    shape = entries.n_users, len(item_M)
    return Rows(incidence(entries.user_E, place_E, shape, entries.value_E), item_M)


class Cosine:
    """``X^T X / (n n^T + shrink)`` of all workers' users, as what it does to a few columns.

    Args:
        rows: reads this worker's rows of X in parts.
    """

    def __init__(self, rows: Callable[[], Iterable[Rows]], n: int, shrink: float) -> None:
        self._rows, self._n = rows, n
        squares = (
            (part.item_M, np.asarray(part.x_BM.multiply(part.x_BM).sum(axis=0)).ravel()) for part in rows()
        )
        self._term_RN, self._sign_R = shrunk_terms(np.sqrt(_sum(n, squares)), shrink)

    def times(self, own_LK: Tensor) -> Tensor:
        """This worker's rows of the product, (L, K)."""
        product_LK, own = torch.empty_like(own_LK), own_rows(self._n)
        at_once = max(1, min(COLUMNS, HELD // self._n))
        for first in range(0, own_LK.shape[1], at_once):
            columns = slice(first, first + at_once)
            given_NC = gathered_by_all(own_LK[:, columns].contiguous(), self._n).numpy()
            sum_NC = np.zeros_like(given_NC)
            for x_BM, item_M in self._rows():
                sum_NC[item_M] += self._of_some(x_BM, self._term_RN[:, item_M], given_NC[item_M])
            product_LK[:, columns] = summed(torch.from_numpy(sum_NC))[own]
        return product_LK

    def _of_some(
        self, x_BM: sp.csr_matrix, term_RM: NDArray[np.float32], given_MC: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What some users add to the product, all terms side by side in one multiplication."""
        n_terms, (n_rows, n_columns) = len(term_RM), given_MC.shape
        given_MRC = (term_RM.T[:, :, None] * given_MC[:, None]).reshape(n_rows, n_terms * n_columns)
        both_MRC = (x_BM.T @ (x_BM @ given_MRC)).reshape(n_rows, n_terms, n_columns)
        signed_RM = term_RM * self._sign_R[:, None]
        sum_MC: NDArray[np.float32] = np.einsum("rm,mrc->mc", signed_RM, both_MRC)
        return sum_MC


def _sum(
    n: int, parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float32] | float]]
) -> NDArray[np.float64]:
    """What all parts of all workers say of items, (N,)."""
    sum_N = np.zeros(n)
    for item, value in parts:
        np.add.at(sum_N, item, value)
    return summed(torch.from_numpy(sum_N)).numpy()


def shrunk_terms(
    norm_N: NDArray[np.float64], shrink: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Terms (R, N) and their signs (R) with ``1 / (n_i n_j + shrink) = sum_r sign_r term_ri term_rj``.

    By ``n_i n_j`` it is the logistic function of log n_i + log n_j - log shrink, a smooth one: interpolated
    between Chebyshev nodes in log n, of whose matrix the eigenvectors that matter are taken. So a cosine is
    off by 1e-4 or less of what it would be without shrinking. Items without events get zeros.
    """
    met = norm_N > 0
    level, back = np.unique(np.log(norm_N[met]), return_inverse=True)
    if not len(level):
        return np.zeros((0, len(norm_N)), np.float32), np.zeros(0, np.float32)
    low, high = level[0] - 0.1, level[-1] + 0.1
    angle_P = (2 * np.arange(NODES) + 1) * np.pi / (2 * NODES)
    node_P = (low + high) / 2 + (high - low) / 2 * np.cos(angle_P)
    near_VP = level[:, None] - node_P
    near_VP[near_VP == 0] = 1e-300
    near_VP = (-1.0) ** np.arange(NODES) * np.sin(angle_P) / near_VP
    near_VP /= near_VP.sum(axis=1, keepdims=True)  # barycentric formula
    value_P, vector_PP = np.linalg.eigh(1 / (1 + shrink * np.exp(-node_P[:, None] - node_P)))
    kept = np.abs(value_P) > ROUNDING * np.abs(value_P).max()
    term_VR = near_VP @ (vector_PP[:, kept] * np.sqrt(np.abs(value_P[kept])))
    term_RN = np.zeros((int(kept.sum()), len(norm_N)), np.float32)
    term_RN[:, met] = term_VR[back].T / norm_N[met]
    return term_RN, np.sign(value_P[kept]).astype(np.float32)


def _orthonormal(own_LK: Tensor) -> Tensor:
    """An orthonormal basis of the columns, in place, by their inner products; twice, for rounding's sake.

    Source: CholeskyQR2 (Yamamoto et al. 2015), with eigenvectors in place of the factor, which may fail.
    """
    for _ in range(2):
        value_K, vector_KK = torch.linalg.eigh(summed((own_LK.T @ own_LK).double()))
        scale_K = value_K.clamp(min=max(1e-14 * float(value_K.max()), 1e-30)).rsqrt()
        turn_KK = (vector_KK * scale_K).float()
        for first in range(0, len(own_LK), ROWS):
            rows = slice(first, first + ROWS)
            own_LK[rows] = own_LK[rows] @ turn_KK
    return own_LK


def _random(n: int, k: int) -> Tensor:
    """This worker's rows of what is the same at every worker, (L, K); drawn by columns, to hold only one."""
    generator, own = torch.Generator().manual_seed(0), slice(rank(), None, world())
    return torch.stack([torch.randn(n, generator=generator)[own] for _ in range(k)], dim=1)


def _signs(factors_LD: Tensor) -> Tensor:
    """An eigenvector's sign is arbitrary: that of its largest entry, of all workers' rows, (D,)."""
    largest_D, at_D = factors_LD.abs().max(dim=0) if len(factors_LD) else (factors_LD.sum(dim=0), None)
    sign_D = factors_LD.gather(0, at_D.unsqueeze(0))[0].sign() if at_D is not None else largest_D
    most_D = largest_D.clone()
    if world() > 1:
        dist.all_reduce(most_D, op=dist.ReduceOp.MAX)
    total_D: Tensor = summed(torch.where(largest_D == most_D, sign_D, 0.0)).sign()
    return total_D
