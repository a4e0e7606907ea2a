"""Says in plain words what is wrong with a configuration, and which key may have been meant.

Knows nothing of which options there are: they are handed in.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

WORDS: Mapping[str, str] = {
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "string_type": "is not a text",
    "tuple_type": 'is not a list: write [1, 2] or, for texts, ["a", "b"]',
    "list_type": 'is not a list: write [1, 2] or, for texts, ["a", "b"]',
    "model_type": "is not a section: name one of its keys",
    "model_attributes_type": "is not a section: name one of its keys",
    "literal_error": "is not one of {expected}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
}
"""What is said of a value, by pydantic's type of error."""


def explained(error: ValidationError, where: str, known: Sequence[str]) -> ConfigError:
    """The first thing that is wrong.

    Args:
        error: of checking a configuration.
        where: the file or option that it came from.
        known: all keys, as ``section.key``.
    """
    first = error.errors()[0]
    key = spelled_key(first["loc"])
    if not first["loc"]:  # keys that do not go together
        return ConfigError(first["msg"].removeprefix("Value error, "), where=where)
    if first["type"] == "extra_forbidden":
        return ConfigError(f"unknown key {key}", where=where, fix=_meant(key, known))
    value = json.dumps(first["input"], default=str, ensure_ascii=False)
    return ConfigError(f"{key} = {value} {_said(first)}", where=where, fix=_keys_of(key, known))


def spelled_key(parts: Sequence[int | str]) -> str:
    """``evaluation.shots[2]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _said(first: ErrorDetails) -> str:
    context: Mapping[str, Any] = first.get("ctx") or {}
    plain = WORDS.get(first["type"])
    return plain.format(**context) if plain else f": {first['msg']}"


def _meant(key: str, known: Sequence[str]) -> str:
    """The known key or section that is most alike, or the key that ends so."""
    last = {k.rpartition(".")[2]: k for k in known}
    sections = {k.partition(".")[0] for k in known}
    close = difflib.get_close_matches(key, [*known, *sections], n=1)
    close += [last[near] for near in difflib.get_close_matches(key.rpartition(".")[2], list(last), n=1)]
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."


def _keys_of(section: str, known: Sequence[str]) -> str:
    keys = [key for key in known if key.startswith(f"{section}.")]
    return f"Keys are {', '.join(keys)}." if keys else ""
