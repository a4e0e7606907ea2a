"""Turns a column of one value a cell into numbers: a category, a number or a vector.

Each encoder is a frozen value: fitted once, written as JSON, the same ever after. A missing value
gives zeros. Knows nothing of tables, ids or files.

Shapes: n rows, W columns of one encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.data.features.frequent import frequent
from engine.data.tables.cells import as_number, as_text, as_vector

MAX_LEVELS = 256
MAX_KNOTS = 8


@dataclass(frozen=True)
class CategoryEncoder:
    """One-hot of the levels seen in at least ``MIN_ROWS`` rows; others give zeros."""

    kind: ClassVar[str] = "category"
    levels: tuple[str, ...]

    @staticmethod
    def fit(values: Sequence[object]) -> CategoryEncoder:
        texts = (as_text(v) for v in values)
        return CategoryEncoder(frequent((t for t in texts if t is not None), MAX_LEVELS))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"={level}" for level in self.levels)

    @cached_property
    def _column(self) -> dict[str | None, int]:
        return {level: i for i, level in enumerate(self.levels)}

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        column = np.array([self._column.get(as_text(v), -1) for v in values], dtype=np.int64)
        out = np.zeros((len(values), len(self.levels)), dtype=np.float32)
        known = np.flatnonzero(column >= 0)
        out[known, column[known]] = 1
        return out


@dataclass(frozen=True)
class NumberEncoder:
    """Piecewise-linear basis: a hat function on each knot, so that any bend at a knot can be learned.

    A number between two knots is shared between them in proportion to nearness; beyond the end knots it
    counts as the end knot. The knots are the distinct ones of ``MAX_KNOTS`` equally spaced quantiles.
    Source: linear B-splines, de Boor, A Practical Guide to Splines, chapter 3.
    """

    kind: ClassVar[str] = "number"
    knots: tuple[float, ...]

    @staticmethod
    def fit(values: Sequence[object]) -> NumberEncoder:
        numbers = np.array([as_number(v) for v in values], dtype=np.float64)
        numbers = numbers[~np.isnan(numbers)]
        if not len(numbers):
            return NumberEncoder(())
        knots = np.unique(np.quantile(numbers, np.linspace(0, 1, MAX_KNOTS)))
        return NumberEncoder(tuple(knots.tolist()))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"~{knot:.6g}" for knot in self.knots)

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        numbers = np.array([as_number(v) for v in values], dtype=np.float64)
        return hat_basis(numbers, np.array(self.knots, dtype=np.float64))


@dataclass(frozen=True)
class VectorEncoder:
    """An embedding made elsewhere, scaled so that the mean row norm is 1."""

    kind: ClassVar[str] = "vector"
    length: int
    scale: float

    @staticmethod
    def fit(values: Sequence[object]) -> VectorEncoder:
        vectors = [v for cell in values if (v := as_vector(cell)) is not None]
        if not vectors:
            return VectorEncoder(0, 1.0)
        if len({len(v) for v in vectors}) > 1:
            raise ValueError(f"vectors of different lengths: {sorted({len(v) for v in vectors})[:5]}")
        norm = float(np.mean([np.linalg.norm(v) for v in vectors]))
        return VectorEncoder(len(vectors[0]), 1 / norm if norm > 0 else 1.0)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"[{i}]" for i in range(self.length))

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        out = np.zeros((len(values), self.length), dtype=np.float32)
        for row, cell in enumerate(values):
            vector = as_vector(cell)
            if vector is None:
                continue
            if len(vector) != self.length:
                raise ValueError(f"a vector of length {len(vector)}, expected {self.length}")
            out[row] = vector * self.scale
        return out


def hat_basis(numbers: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float32]:
    """Each number's weights on the knots either side, (n, len(knots)); they sum to 1, or to 0 for NaN."""
    out = np.zeros((len(numbers), len(knots)), dtype=np.float32)
    rows = np.flatnonzero(~np.isnan(numbers))
    if not len(knots) or not len(rows):
        return out
    x = np.clip(numbers[rows], knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, max(len(knots) - 2, 0))
    right = np.minimum(left + 1, len(knots) - 1)
    width = knots[right] - knots[left]
    share = np.divide(x - knots[left], width, out=np.zeros_like(x), where=width > 0)
    out[rows, right] = share
    out[rows, left] = 1 - share
    return out
