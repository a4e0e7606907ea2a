"""The kinds of values that requests hold, each with its limit.

Knows nothing of what they are used for.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, StringConstraints, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

FEATURE_LIST_MAX = 4096
TEXT_MAX = 10_000
ID_MAX = 256
INTEGER_MAX = 2**63 - 1


def _digits(value: int) -> str:
    text = str(value)
    if len(text) > ID_MAX:
        raise ValueError("too long")
    return text


class _TextOrInteger:
    """Ids are strings inside; a JSON integer is taken as its decimal text (but ``true`` is not 1).

    Text is looked at first, and by pydantic alone: most ids are text, and a request holds many.
    """

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(min_length=1, max_length=ID_MAX, strict=True)
        integer = core_schema.int_schema(strict=True)
        return core_schema.union_schema(
            [text, core_schema.no_info_after_validator_function(_digits, integer)],
            mode="left_to_right",
            custom_error_type="id",
            custom_error_message=f"Input should be a text of 1 to {ID_MAX} characters, or an integer",
        )

    def __get_pydantic_json_schema__(self, *_: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1, "maxLength": ID_MAX}, {"type": "integer"}]}


def _finite_scalar(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= TEXT_MAX
    if isinstance(value, int):
        return abs(value) <= INTEGER_MAX
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
Id = Annotated[str, _TextOrInteger()]
Scalar = (
    Annotated[str, StringConstraints(max_length=TEXT_MAX)]
    | bool
    | Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
    | Annotated[float, Field(allow_inf_nan=False)]
)
Feature = Annotated[
    Any,
    AfterValidator(_feature),
    WithJsonSchema({"anyOf": [*_SCALAR_SCHEMAS, {"type": "array", "items": {"anyOf": _SCALAR_SCHEMAS}}]}),
]
