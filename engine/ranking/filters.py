"""Which items a request allows, by their features: ``{"genre": ["Drama"], "year": {"min": 1990}}``.

A category must be one of the given values, tags must hold one of them, a number must lie in the range; every
named column must agree. Knows nothing of scores or users.

Shapes: N catalogue.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.features.kinds import separator_of
from engine.data.tables.cells import as_number, as_tags, as_text
from engine.errors import RequestError

FILTERABLE = ("category", "tags", "number")
REMEMBERED = 128  # compiled filters: N bytes each

Filter = Mapping[str, object]


class FeatureFilters:
    """Compiles filters to masks of the catalogue. A column is indexed when it is first asked for."""

    def __init__(self, items: pa.Table, encoder: FeatureEncoder) -> None:
        self._items = items
        self._kinds = {name: kind for name, kind in encoder.kinds.items() if kind in FILTERABLE}
        self._rows: dict[str, dict[str, NDArray[np.int64]]] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._compiled = lru_cache(REMEMBERED)(self._compile)

    @property
    def columns(self) -> dict[str, str]:
        """What can be filtered by, and its kind: category, tags or number."""
        return dict(self._kinds)

    def mask(self, request: Filter) -> NDArray[np.bool_]:
        """The items that agree with every column's condition, (N,); read only.

        Args:
            request: column -> a value or a list of values (category, tags: any of them), or
                ``{"min": number, "max": number}``, either end left out (number; both ends belong).

        Raises:
            RequestError: the column is unknown or cannot be filtered by, or its condition is of another
                kind; says which.
        """
        if not isinstance(request, Mapping):
            raise RequestError(
                f"{request!r} is no filter", where="filter", fix='Give {"column": value, ...}.'
            )
        for column in request:
            self._check(column)
        try:
            return self._compiled(json.dumps(request, sort_keys=True))
        except TypeError:
            raise RequestError(
                "a value is neither text nor a number",
                where="filter",
                fix="Give texts, numbers or lists of them.",
            ) from None

    def _check(self, column: object) -> None:
        if column in self._kinds:
            return
        close = difflib.get_close_matches(str(column), self._kinds, n=1)
        known = ", ".join(f"{name} ({kind})" for name, kind in self._kinds.items()) or "none"
        raise RequestError(
            f"cannot filter by {str(column)!r}",
            where="filter",
            fix=(f"Did you mean {close[0]!r}? " if close else "") + f"The columns to filter by are: {known}.",
        )

    def _compile(self, request: str) -> NDArray[np.bool_]:
        mask_N = np.ones(self._items.num_rows, np.bool_)
        for column, condition in json.loads(request).items():
            number = self._kinds[column] == "number"
            mask_N &= self._in_range(column, condition) if number else self._has_any(column, condition)
        mask_N.setflags(write=False)
        return mask_N

    def _has_any(self, column: str, condition: object) -> NDArray[np.bool_]:
        values = condition if isinstance(condition, list) else [condition]
        if any(value is None or isinstance(value, (list, dict)) for value in values):
            raise _wrong(column, self._kinds[column], condition, "Give a value, or a list of values.")
        rows = self._rows_of(column)
        mask_N = np.zeros(self._items.num_rows, np.bool_)
        for text in map(as_text, values):
            mask_N[rows.get(text or "", [])] = True
        return mask_N

    def _in_range(self, column: str, condition: object) -> NDArray[np.bool_]:
        fix = 'Give {"min": number, "max": number}; either may be left out.'
        if not isinstance(condition, dict) or not condition or set(condition) - {"min", "max"}:
            raise _wrong(column, "number", condition, fix)
        ends = [condition.get("min", -np.inf), condition.get("max", np.inf)]
        if any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in ends):
            raise _wrong(column, "number", condition, fix)
        if column not in self._numbers:
            self._numbers[column] = np.array([as_number(v) for v in self._items[column].to_pylist()])
        values_N = self._numbers[column]
        return np.asarray((values_N >= ends[0]) & (values_N <= ends[1]))

    def _rows_of(self, column: str) -> dict[str, NDArray[np.int64]]:
        """The rows of each value."""
        if column not in self._rows:
            rows: dict[str, list[int]] = {}
            separator = separator_of(self._items[column]) if self._kinds[column] == "tags" else ""
            for row, cell in enumerate(self._items[column].to_pylist()):
                for value in self._values(column, cell, separator):
                    rows.setdefault(value, []).append(row)
            self._rows[column] = {value: np.array(places) for value, places in rows.items()}
        return self._rows[column]

    def _values(self, column: str, cell: object, separator: str) -> Sequence[str]:
        if self._kinds[column] == "tags":
            return list(as_tags(cell, separator))
        text = as_text(cell)
        return [] if text is None else [text]


def _wrong(column: str, kind: str, condition: object, fix: str) -> RequestError:
    return RequestError(f"{condition!r} is no condition on a {kind}", where=f"filter, {column!r}", fix=fix)
