"""Turns raw feature columns of users or items into one float32 matrix, and a request's features into one row.

Knows nothing of ids, events or models. What it learned from the data is plain JSON: no code is stored.

Shapes: n rows, F output columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.features.encoders import Encoder, encoder_from_json, encoder_to_json, fit_encoder
from engine.data.features.kinds import IGNORE, check_kind, separator_of
from engine.errors import DataError, RequestError


@dataclass(frozen=True)
class FeatureEncoder:
    """Fitted encoders by column, in the order of the output columns."""

    encoders: dict[str, Encoder]

    @staticmethod
    def fit(table: pa.Table, kinds: Mapping[str, str]) -> FeatureEncoder:
        """Learn levels, knots and terms from ``table``; columns of kind "ignore" are left out.

        Raises:
            DataError: an unknown kind, a column that is not there, or a cell that is not of its kind.
        """
        encoders = {}
        for column, kind in kinds.items():
            check_kind(column, kind)
            if kind != IGNORE:
                encoders[column] = _fit_column(table, column, kind)
        return FeatureEncoder(encoders)

    @property
    def kinds(self) -> dict[str, str]:
        """Column -> category, tags, number, text or vector."""
        return {column: encoder.kind for column, encoder in self.encoders.items()}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One per output column: ``genres=Comedy``, ``age~31``, ``title:star``, ``actors#7``, ``face[3]``."""
        return tuple(f"{column}{label}" for column, e in self.encoders.items() for label in e.labels)

    @cached_property
    def n_features(self) -> int:
        return len(self.names)

    def transform(self, table: pa.Table) -> NDArray[np.float32]:
        """The feature matrix, (n, F). Missing values give zeros, and so do missing columns.

        Raises:
            DataError: a cell that is not of its column's kind.
        """
        blocks = [np.zeros((table.num_rows, 0), dtype=np.float32)]
        for column, encoder in self.encoders.items():
            values = table[column].to_pylist() if column in table.column_names else [None] * table.num_rows
            try:
                blocks.append(encoder.transform(values))
            except ValueError as error:
                raise _wrong_cell(column, encoder.kind, error) from None
        return np.concatenate(blocks, axis=1)

    def transform_one(
        self, features: Mapping[str, object] | None, average_F: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """One row, (F,). What is not told, None or a missing column, is taken as in ``average_F``.

        Raises:
            RequestError: a value that is not of its column's kind.
        """
        row = average_F.copy()
        for column, encoder, block in self._blocks:
            value = features.get(column) if features else None
            if value is None:
                continue
            try:
                row[block] = encoder.transform([value])[0]
            except ValueError as error:
                raise RequestError(str(error), where=f"feature {column!r}, a {encoder.kind}") from None
        return row

    @cached_property
    def _blocks(self) -> tuple[tuple[str, Encoder, slice], ...]:
        """Each column with its encoder and its part of a row."""
        ends = np.cumsum([len(encoder.labels) for encoder in self.encoders.values()]).tolist()
        blocks = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        return tuple((c, e, block) for (c, e), block in zip(self.encoders.items(), blocks, strict=True))

    def to_json(self) -> dict[str, Any]:
        return {"columns": {column: encoder_to_json(e) for column, e in self.encoders.items()}}

    @staticmethod
    def from_json(d: dict[str, Any]) -> FeatureEncoder:
        return FeatureEncoder({column: encoder_from_json(e) for column, e in d["columns"].items()})


def _fit_column(table: pa.Table, column: str, kind: str) -> Encoder:
    if column not in table.column_names:
        raise DataError(
            f"no feature column {column!r}", fix=f"The columns are {', '.join(table.column_names)}."
        )
    separator = separator_of(table[column]) if kind == "tags" else ""
    try:
        return fit_encoder(kind, table[column].to_pylist(), separator)
    except ValueError as error:
        raise _wrong_cell(column, kind, error) from None


def _wrong_cell(column: str, kind: str, error: ValueError) -> DataError:
    return DataError(
        str(error),
        where=f"feature column {column!r}, a {kind}",
        fix="Correct the cell, or name another kind for the column in the schema file.",
    )
