"""What to do after an inspection: the next command, and a schema file. Knows nothing of rows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.data.tables.files import find_files
from engine.errors import DataError
from jobs.inspection.findings import Inspection

BARE = re.compile(r"[A-Za-z0-9_-]+")


def next_command(found: Inspection, schema_file: Path | None = None) -> str | None:
    """What to type next, or None where the tables do not suffice."""
    if found.events is None:
        return None
    parts = ["firstclick", "prepare"]
    for table in found.tables:
        source = _source(table.files)
        parts += [f"--{table.role}", shlex.quote(source) if source else f"FOLDER_OF_{table.role.upper()}"]
    if schema_file:
        parts += ["--schema", shlex.quote(str(schema_file))]
    else:
        for contract, own in found.schema.columns.items():
            parts += ["--column", shlex.quote(f"{contract}={own}")]
    if found.bad_rows:
        parts += ["--on-bad-rows", "drop"]
    return " ".join([*parts, "--out", "data"])


def _source(files: Sequence[Path]) -> str | None:
    """One path or glob that means exactly these files."""
    if len(files) == 1:
        return str(files[0])
    folders = {path.parent for path in files}
    folder = folders.pop()
    endings = {path.suffix for path in files}
    tries = [str(folder), *(str(folder / f"*{ending}") for ending in endings)] if not folders else []
    return next((source for source in tries if _same(source, files)), None)


def _same(source: str, files: Sequence[Path]) -> bool:
    try:
        return set(find_files(source)) == set(files)
    except DataError:
        return False


def schema_text(found: Inspection) -> str:
    """A schema file that says what was understood, with the reasons as comments."""
    why = {(table.role, column.name): column.why for table in found.tables for column in table.columns}
    relations = {name: about["describes"] for name, about in found.about.get("relations", {}).items()}
    usable = {name: role for name, role in relations.items() if role in ("items", "users")}
    sections = (
        ("columns", "the contract's name = your name", dict(found.schema.columns), {}),
        *(
            (role, "category, tags, number, text, vector or ignore", found.kinds.get(role, {}), why)
            for role in ("items", "users")
        ),
        ("edges", "what a relation describes: items, users or ignore", usable, {}),
    )
    texts = [_section(*section) for section in sections if section[2]]
    return "\n".join(
        ["# What `firstclick inspect` understood. Correct it and give it to prepare --schema.", *texts]
    )


def _section(name: str, about: str, entries: Mapping[str, str], why: Mapping[tuple[str, str], str]) -> str:
    lines = ["", f"[{name}]  # {about}"]
    for key, value in entries.items():
        reason = why.get((name, key), "")
        lines.append(f"{_key(key)} = {_text(value)}" + (f"  # {reason}" if reason else ""))
    return "\n".join(lines) + ("\n" if name == "edges" else "")


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value, ensure_ascii=False)
