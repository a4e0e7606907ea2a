"""The recommenders of the library `implicit` as families of baselines: ALS, cosine and BM25 neighbours.

The library is an optional extra, imported when a model is fitted. Knows nothing of tuning or blending.

Shapes: B users of a batch, U training users, N catalogue, D factors.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from engine.data.episodes import Episodes
from engine.errors import ConfigError
from engine.evaluation.baselines.families import LEARN_FROM, Family
from engine.evaluation.baselines.knowledge import Events, Knowledge


@dataclass(frozen=True)
class FoldedIn:
    """A fitted ALS model; a new user's factors are recalculated from the support at every call."""

    model: Any
    knowledge: Knowledge

    def score(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        x_BN = _csr(self.knowledge.support(episodes, events))
        users_BD = self.model.recalculate_user(np.arange(len(episodes)), x_BN)
        return np.asarray(users_BD @ self.model.item_factors.T, np.float32)


@dataclass(frozen=True)
class Neighbours:
    """A fitted item-item model: what its ``recommend`` sums up, for all items at once."""

    model: Any
    knowledge: Knowledge

    def score(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        x_BN = _csr(self.knowledge.support(episodes, events))
        return np.asarray((x_BN @ self.model.similarity).toarray(), np.float32)


def fit_als(
    knowledge: Knowledge,
    factors: int = 64,
    alpha: float = 3.0,
    regularization: float = 5.0,
    seed: int = 0,
) -> FoldedIn:
    """``AlternatingLeastSquares`` on what training users liked; the arguments are the library's own.

    Raises:
        ConfigError: the library is not installed.
    """
    with _library("implicit.cpu.als") as als:
        model = als.AlternatingLeastSquares(
            factors, regularization=regularization, alpha=alpha, num_threads=1, random_state=seed
        )
        model.fit(_csr(knowledge.liked), show_progress=False)
    return FoldedIn(model, knowledge)


def fit_cosine(knowledge: Knowledge, learn_from: Events = "liked", neighbours: int = 100) -> Neighbours:
    """``CosineRecommender``: each item keeps its ``neighbours`` nearest, itself among them.

    Raises:
        ConfigError: the library is not installed.
    """
    with _library("implicit.nearest_neighbours") as nearest:
        model = nearest.CosineRecommender(K=neighbours, num_threads=1)
        model.fit(_csr(knowledge.matrix(learn_from)), show_progress=False)
    return Neighbours(model, knowledge)


def fit_bm25(
    knowledge: Knowledge,
    learn_from: Events = "liked",
    neighbours: int = 100,
    k1: float = 1.2,
    b: float = 0.75,
) -> Neighbours:
    """``BM25Recommender``: neighbours by BM25-weighted dot products.

    Args:
        learn_from: liked events or all.
        neighbours: kept for each item.
        k1: how slowly repeated events saturate; here every event counts once, so it weighs users.
        b: how far users with many events count less.

    Raises:
        ConfigError: the library is not installed.
    """
    with _library("implicit.nearest_neighbours") as nearest:
        model = nearest.BM25Recommender(K=neighbours, K1=k1, B=b, num_threads=1)
        model.fit(_csr(knowledge.matrix(learn_from)), show_progress=False)
    return Neighbours(model, knowledge)


@contextmanager
def _library(module: str) -> Iterator[Any]:
    """The module, while the BLAS keeps to one thread: the library asks for that, and warns otherwise."""
    try:
        loaded = import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"the method needs the library implicit, which cannot be imported: {error}",
            fix="Install the extra: pip install 'firstclick[peers]', or leave the method out.",
        ) from error
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Method expects CSR input")  # its own weighting gives COO
        yield loaded


def _csr(x: Any) -> sp.csr_matrix:
    """The library's kind of matrix: old-style, 32-bit indices, float32."""
    matrix = sp.csr_matrix(x, dtype=np.float32)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


IMPLICIT_FAMILIES = (
    Family(
        "implicit ALS",
        fit_als,
        {"factors": (32, 64), "alpha": (1.5, 3.0, 10.0), "regularization": (1.0, 5.0, 25.0)},
    ),
    Family("implicit cosine", fit_cosine, {"learn_from": LEARN_FROM, "neighbours": (50, 200, 1000)}),
    Family(
        "implicit BM25",
        fit_bm25,
        {"learn_from": LEARN_FROM, "neighbours": (50, 500), "k1": (1.2, 100.0), "b": (0.25, 0.75)},
    ),
)
