"""What a user says about their tables: which column is which, of what kind features are, what edges describe.

Reads the schema file (TOML) and ``contract=own`` pairs. Knows nothing of the tables themselves.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import ConfigError

ROLE_COLUMNS = {
    "interactions": ("user_id", "item_id", "rating", "value", "event", "timestamp"),
    "items": ("item_id",),
    "users": ("user_id",),
    "edges": ("src", "relation", "dst"),
}
CONTRACT_COLUMNS = tuple(dict.fromkeys(name for names in ROLE_COLUMNS.values() for name in names))
SECTIONS = ("columns", "items", "users", "edges")


@dataclass(frozen=True)
class Schema:
    """Own names and kinds; all empty where the tables speak for themselves."""

    columns: Mapping[str, str] = field(default_factory=dict)  # contract's name -> the tables' own
    item_kinds: Mapping[str, str] = field(default_factory=dict)  # feature column -> kind or "ignore"
    user_kinds: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)  # relation -> "items", "users" or "ignore"

    def columns_of(self, role: str) -> dict[str, str]:
        """The own names that concern one kind of table: interactions, items, users or edges."""
        return {name: own for name, own in self.columns.items() if name in ROLE_COLUMNS[role]}

    def with_columns(self, pairs: Sequence[str]) -> Schema:
        """The same with ``["event=event_type", ...]`` on top. Raises ConfigError on a pair it cannot read."""
        columns = dict(self.columns)
        for pair in pairs:
            contract, equals, own = pair.partition("=")
            if not (contract and equals and own):
                raise ConfigError(
                    f"{pair!r} is not NAME=YOURS", where="--column", fix="Say event=event_type."
                )
            columns[contract.strip()] = own.strip()
        _check_columns(columns, "--column")
        return replace(self, columns=columns)


def read_schema(path: Path) -> Schema:
    """Read a schema file::

        [columns]
        event = "event_type"
        [items]
        title = "text"
        [users]
        zip_code = "ignore"
        [edges]
        friend = "users"

    Raises:
        ConfigError: no such file, not TOML, an unknown section or contract column, a value that is no text.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", where=str(path)) from None
    for section, entries in raw.items():
        if section not in SECTIONS or not isinstance(entries, dict):
            raise _unknown(section, SECTIONS, "section", str(path))
        _check_texts(entries, f"{path}, [{section}]")
    _check_columns(raw.get("columns", {}), f"{path}, [columns]")
    return Schema(raw.get("columns", {}), raw.get("items", {}), raw.get("users", {}), raw.get("edges", {}))


def _check_columns(columns: Mapping[str, str], where: str) -> None:
    for contract in columns:
        if contract not in CONTRACT_COLUMNS:
            raise _unknown(contract, CONTRACT_COLUMNS, "column of the contract", where)
    own = list(columns.values())
    if len(set(own)) < len(own):
        twice = sorted({name for name in own if own.count(name) > 1})[0]
        raise ConfigError(f"{twice!r} is named for two columns", where=where, fix="Name each once.")


def _check_texts(entries: Mapping[str, Any], where: str) -> None:
    for name, value in entries.items():
        if not isinstance(value, str):
            raise ConfigError(f"{name} = {value!r} is not a text", where=where, fix='Say name = "kind".')


def _unknown(name: str, known: Iterable[str], what: str, where: str) -> ConfigError:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return ConfigError(f"unknown {what} {name!r}", where=where, fix=f"{guess}Known are {', '.join(known)}.")
