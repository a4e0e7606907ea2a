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

    columns: Mapping[str, str] = field(
        default_factory=dict
    )  # contract's name, or role.name -> the tables' own
    item_kinds: Mapping[str, str] = field(default_factory=dict)  # feature column -> kind or "ignore"
    user_kinds: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)  # relation -> "items", "users" or "ignore"

    def columns_of(self, role: str) -> dict[str, str]:
        """The own names that concern one kind of table: interactions, items, users or edges.

        ``items.item_id`` concerns the items alone and goes before ``item_id``.
        """
        return _columns_of(role, self.columns)

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
        "items.item_id" = "sku"
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
        fix = "Write one with `firstclick inspect FILES --write FILE`."
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path), fix=fix) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", where=str(path)) from None
    for section, entries in raw.items():
        if section not in SECTIONS or not isinstance(entries, dict):
            raise _unknown(section, SECTIONS, "section", str(path))
        _check_texts(entries, f"{path}, [{section}]")
    _check_columns(raw.get("columns", {}), f"{path}, [columns]")
    return Schema(raw.get("columns", {}), raw.get("items", {}), raw.get("users", {}), raw.get("edges", {}))


def _columns_of(role: str, columns: Mapping[str, str]) -> dict[str, str]:
    named = {name: columns.get(f"{role}.{name}", columns.get(name)) for name in ROLE_COLUMNS[role]}
    return {name: own for name, own in named.items() if own is not None}


def _check_columns(columns: Mapping[str, str], where: str) -> None:
    of_roles = [f"{role}.{name}" for role, names in ROLE_COLUMNS.items() for name in names]
    for contract in columns:
        if contract not in CONTRACT_COLUMNS and contract not in of_roles:
            known = of_roles if "." in contract else CONTRACT_COLUMNS
            raise _unknown(contract, known, "column of the contract", where)
    for role in ROLE_COLUMNS:
        own = list(_columns_of(role, columns).values())
        twice = sorted({name for name in own if own.count(name) > 1})
        if twice:
            raise ConfigError(f"{twice[0]!r} is named for two columns", where=where, fix="Name each once.")


def _check_texts(entries: Mapping[str, Any], where: str) -> None:
    for name, value in entries.items():
        if not isinstance(value, str):
            raise ConfigError(f"{name} = {value!r} is not a text", where=where, fix='Say name = "kind".')


def _unknown(name: str, known: Iterable[str], what: str, where: str) -> ConfigError:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return ConfigError(f"unknown {what} {name!r}", where=where, fix=f"{guess}Known are {', '.join(known)}.")
