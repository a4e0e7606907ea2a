"""All encoders of one column: which there are, which suits a column, and how they are stored.

Knows nothing of tables, ids or files.

Shapes: n rows, W columns of one encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.data.features.column_encoders import CategoryEncoder, NumberEncoder, VectorEncoder
from engine.data.features.term_encoders import TagsEncoder, TextEncoder
from engine.data.features.wide_encoders import WideTagsEncoder, WideTextEncoder


class Encoder(Protocol):
    """One fitted column."""

    kind: ClassVar[str]

    @property
    def labels(self) -> tuple[str, ...]:
        """What to append to the column's name, one per output column."""

    def transform(self, values: Sequence[object]) -> NDArray[np.float32]:
        """Cells to numbers, (n, W). Raises ValueError on a cell that is not of this kind."""


ENCODERS: dict[str, type[Any]] = {
    e.kind: e for e in (CategoryEncoder, TagsEncoder, NumberEncoder, TextEncoder, VectorEncoder)
}
WIDE: dict[str, type[Any]] = {e.kind: e for e in (WideTagsEncoder, WideTextEncoder)}


def fit_encoder(kind: str, values: Sequence[object], separator: str) -> Encoder:
    """Learn a column of one of the ``ENCODERS``' kinds; ``separator`` cuts the texts of tags.

    Raises:
        ValueError: a cell is not of this kind.
    """
    match kind:
        case TagsEncoder.kind:
            return WideTagsEncoder.fit(values, separator) or TagsEncoder.fit(values, separator)
        case TextEncoder.kind:
            return WideTextEncoder.fit(values) or TextEncoder.fit(values)
    encoder: Encoder = ENCODERS[kind].fit(values)
    return encoder


def encoder_to_json(encoder: Encoder) -> dict[str, Any]:
    return {"kind": encoder.kind, **asdict(encoder)}  # type: ignore[call-overload]


def encoder_from_json(d: dict[str, Any]) -> Encoder:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in d.items() if k != "kind"}
    forms = WIDE if "factors" in d else ENCODERS
    encoder: Encoder = forms[d["kind"]](**fields)
    return encoder
