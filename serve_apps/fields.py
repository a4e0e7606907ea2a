"""The kinds of values that requests hold, each with its limit.

Knows nothing of what they are used for.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

FEATURE_LIST_MAX = 4096
TEXT_MAX = 10_000


def _integer_id_as_text(value: object) -> object:
    """Ids are strings inside; a JSON integer is taken as its decimal text (but ``true`` is not 1)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _finite_scalar(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= TEXT_MAX
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _feature(value: Any) -> Any:
    """One raw feature: a scalar, or a flat list of scalars (tags, a vector)."""
    if isinstance(value, list) and len(value) <= FEATURE_LIST_MAX and all(map(_finite_scalar, value)):
        return value
    if isinstance(value, list) or not _finite_scalar(value):
        raise ValueError(
            f"a feature must be a text of up to {TEXT_MAX} characters, a finite number, true, false, null, "
            f"or a flat list of up to {FEATURE_LIST_MAX} of these"
        )
    return value


_SCALAR_SCHEMAS = [{"type": kind} for kind in ("string", "number", "boolean", "null")]

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Id = Annotated[
    Name,
    BeforeValidator(_integer_id_as_text),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": 256}, {"type": "integer"}]}),
]
Scalar = (
    Annotated[str, StringConstraints(max_length=TEXT_MAX)]
    | bool
    | Annotated[int, Field(gt=-(2**63), lt=2**63)]
    | Annotated[float, Field(allow_inf_nan=False)]
)
Feature = Annotated[
    Any,
    AfterValidator(_feature),
    WithJsonSchema({"anyOf": [*_SCALAR_SCHEMAS, {"type": "array", "items": {"anyOf": _SCALAR_SCHEMAS}}]}),
]
