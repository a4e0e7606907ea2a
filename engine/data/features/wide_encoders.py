"""Turns a column of many tags or words into a few numbers: TF-IDF, then a truncated SVD.

Rows that share terms, or terms that occur together, end up close. Knows nothing of tables, ids or files.

Shapes: n rows, T terms, W columns of one encoder.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.data.tables.cells import as_tags, as_text

WIDE = 512  # a column of more common terms is wide: one column for each would be too many
COMMON = 5  # rows that a common term stands in
WIDTH = 64  # numbers that a wide column becomes
MAX_TERMS = 20_000
MIN_ROWS = 2  # a term of one row links it to no other
STORED = "<f2"  # half precision: three digits, and half the bytes


@dataclass(frozen=True)
class _Wide:
    """A row is the sum of its terms' factors, scaled to length 1, or 0 where it has no known term.

    The factor of a term is its row of V in ``TF-IDF = U S V^T``, times its IDF. Source: latent semantic
    analysis, Deerwester et al. 1990.
    """

    terms: tuple[str, ...]
    factors: str  # (T, W) numbers of type ``STORED`` in base64

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"#{i}" for i in range(self._by_term.shape[1]))

    @cached_property
    def _row(self) -> dict[str, int]:
        return {term: i for i, term in enumerate(self.terms)}

    @cached_property
    def _by_term(self) -> NDArray[np.float32]:
        numbers = np.frombuffer(base64.b64decode(self.factors), STORED)
        return numbers.reshape(len(self.terms), -1).astype(np.float32)

    def _place(self, documents: Sequence[Iterable[str]]) -> NDArray[np.float32]:
        """Documents of terms to rows, (n, W). A term that recurs counts 1 + log of how often."""
        out = np.zeros((len(documents), self._by_term.shape[1]), dtype=np.float32)
        for place, terms in zip(out, documents, strict=True):
            count = Counter(self._row[term] for term in terms if term in self._row)
            rows = sorted(count)
            weight = np.array([1.0 + math.log(count[row]) for row in rows], dtype=np.float32)
            place[:] = weight @ self._by_term[rows]
        norm = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, norm, out=out, where=norm > 0)
        return out


@dataclass(frozen=True)
class WideTagsEncoder(_Wide):
    """Factors of the tags. Text is cut at ``separator``."""

    kind: ClassVar[str] = "tags"
    separator: str

    @staticmethod
    def fit(values: Sequence[object], separator: str) -> WideTagsEncoder | None:
        """None where the column is not wide."""
        fitted = fit_factors([sorted(as_tags(v, separator)) for v in values])
        return fitted and WideTagsEncoder(*fitted, separator)

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        return self._place([as_tags(v, self.separator) for v in values])


@dataclass(frozen=True)
class WideTextEncoder(_Wide):
    """Factors of the words, English stop words left out."""

    kind: ClassVar[str] = "text"

    @staticmethod
    def fit(values: Sequence[object]) -> WideTextEncoder | None:
        """None where the column is not wide."""
        words = words_of()
        fitted = fit_factors([words(as_text(v) or "") for v in values])
        return fitted and WideTextEncoder(*fitted)

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        words = words_of()
        return self._place([words(as_text(v) or "") for v in values])


@cache
def words_of() -> Callable[[str], list[str]]:
    """What cuts a text into its words, without stop words."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second or more

    analyzer: Callable[[str], list[str]] = TfidfVectorizer(stop_words="english").build_analyzer()
    return analyzer


def fit_factors(documents: Iterable[list[str]]) -> tuple[tuple[str, ...], str] | None:
    """Terms and their factors, or None where no more than ``WIDE`` terms occur in ``COMMON`` rows.

    The signs are such that the largest entry of each column of V is positive: the same data give the
    same factors.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second or more
    from sklearn.utils.extmath import randomized_svd

    told = [terms for terms in documents if terms]
    vectorizer = TfidfVectorizer(analyzer=list, sublinear_tf=True, min_df=MIN_ROWS, max_features=MAX_TERMS)
    try:
        tfidf = vectorizer.fit_transform(told)
    except ValueError:  # fewer than MIN_ROWS rows, or no term in that many of them
        return None
    if (tfidf.getnnz(axis=0) >= COMMON).sum() <= WIDE:
        return None
    _, s_W, v_WT = randomized_svd(tfidf, min(WIDTH, tfidf.shape[0]), n_iter=7, random_state=0)
    v_WT = v_WT[s_W > 1e-6 * s_W[0]]
    largest_W = np.take_along_axis(v_WT, np.abs(v_WT).argmax(axis=1)[:, None], axis=1)
    factors_TW = (v_WT * np.sign(largest_W)).T * vectorizer.idf_[:, None]
    terms = tuple(vectorizer.get_feature_names_out().tolist())
    return terms, base64.b64encode(factors_TW.astype(STORED).tobytes()).decode()
