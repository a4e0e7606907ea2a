"""Turns a column of tags or text into one column of numbers for each of its frequent terms.

Columns of many terms go through ``wide_encoders`` instead. Knows nothing of tables, ids or files.

Shapes: n rows, W columns of one encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.data.features.frequent import MIN_ROWS, frequent
from engine.data.tables.cells import as_tags, as_text

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

MAX_TAGS = 512
MAX_TERMS = 512


@dataclass(frozen=True)
class TagsEncoder:
    """Multi-hot of the tags seen in at least ``MIN_ROWS`` rows. Text is cut at ``separator``."""

    kind: ClassVar[str] = "tags"
    tags: tuple[str, ...]
    separator: str  # empty: cells are lists

    @staticmethod
    def fit(values: Sequence[object], separator: str) -> TagsEncoder:
        tags = (tag for v in values for tag in as_tags(v, separator))
        return TagsEncoder(frequent(tags, MAX_TAGS), separator)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"={tag}" for tag in self.tags)

    @cached_property
    def _column(self) -> dict[str, int]:
        return {tag: i for i, tag in enumerate(self.tags)}

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        out = np.zeros((len(values), len(self.tags)), dtype=np.float32)
        for row, value in enumerate(values):
            known = [self._column[tag] for tag in as_tags(value, self.separator) if tag in self._column]
            out[row, known] = 1
        return out


@dataclass(frozen=True)
class TextEncoder:
    """TF-IDF of the most frequent terms, each row of length 1 (or 0 where no term is known)."""

    kind: ClassVar[str] = "text"
    terms: tuple[str, ...]
    idf: tuple[float, ...]

    @staticmethod
    def fit(values: Sequence[object]) -> TextEncoder:
        texts = [t for v in values if (t := as_text(v)) is not None]
        vectorizer = _vectorizer(min_df=MIN_ROWS, max_features=MAX_TERMS)
        try:
            vectorizer.fit(texts)
        except ValueError:  # fewer than MIN_ROWS texts, or no term in that many of them
            return TextEncoder((), ())
        return TextEncoder(tuple(vectorizer.get_feature_names_out()), tuple(vectorizer.idf_.tolist()))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f":{term}" for term in self.terms)

    @cached_property
    def _fitted(self) -> TfidfVectorizer:
        vectorizer = _vectorizer(vocabulary={term: i for i, term in enumerate(self.terms)})
        vectorizer.idf_ = np.array(self.idf)
        return vectorizer

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        texts = [as_text(v) or "" for v in values]
        if not self.terms:
            return np.zeros((len(texts), 0), dtype=np.float32)
        dense: NDArray[np.float64] = self._fitted.transform(texts).toarray()
        return dense.astype(np.float32)


def _vectorizer(**options: Any) -> TfidfVectorizer:
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second or more

    return TfidfVectorizer(stop_words="english", sublinear_tf=True, **options)
