"""Reads one cell of a feature column as text, number, tags or vector.

Used for tables and for the features of a request alike, so that both mean the same. A missing value
is None (NaN for numbers). Knows nothing of columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray


def is_missing(value: object) -> bool:
    return (
        value is None
        or (isinstance(value, str) and not value)
        or (isinstance(value, float) and math.isnan(value))
    )


def as_text(value: object) -> str | None:
    """A category level or a text. Whole floats read as integers: a gap in a column must not make 3 "3.0"."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple | dict | np.ndarray):
        raise ValueError(f"expected one value, got {value!r}")
    return str(value)


def as_number(value: object) -> float:
    """A finite number, or NaN where it is missing. Dates count in seconds since 1970."""
    if is_missing(value):
        return math.nan
    if isinstance(value, date):
        return _seconds(value)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"expected a number, got {value!r}") from None
    if math.isinf(number):
        raise ValueError(f"expected a finite number, got {value!r}")
    return number


def as_tags(value: object, separator: str) -> set[str]:
    """The distinct tags of a cell: a list's members, or the parts of a text between separators."""
    if is_missing(value):
        return set()
    if isinstance(value, str):
        parts: Sequence[object] = value.split(separator) if separator else [value]
    elif isinstance(value, list | tuple | np.ndarray):
        parts = list(value)
    else:
        parts = [value]
    texts = (as_text(part) for part in parts)
    return {text.strip() for text in texts if text is not None and text.strip()}


def as_vector(value: object) -> NDArray[np.float64] | None:
    """A list of finite numbers."""
    if is_missing(value):
        return None
    try:
        vector = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"expected a list of numbers, got {_brief(value)}") from None
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError(f"expected a list of finite numbers, got {_brief(value)}")
    return vector


def _seconds(value: date) -> float:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
