"""Gets the data sets of a benchmark ready: fetched or read from tables, prepared once, then kept.

Knows nothing of methods or cells.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from string import Template
from typing import Any

from engine.data.dataset import is_dataset
from engine.data.sources.movielens import MOVIELENS_NOTICE, movielens_100k
from engine.data.tables.files import find_files
from engine.data.tables.schema import Schema
from engine.errors import ConfigError
from jobs.benchmarking.plan import DataSpec
from jobs.prepare import prepare
from jobs.terminal import console

TABLES = ("interactions", "items", "users", "edges")


def ready(name: str, spec: DataSpec, base: Path, store: Path) -> Path:
    """The folder of the prepared data set.

    Args:
        name: of the data set.
        spec: where its tables are; relative paths start at ``base``, the benchmark file's folder.
        store: folder of the data sets that are prepared here. What was prepared before from the same
            files under the same schema is used again.

    Raises:
        ConfigError: a path uses an environment variable that is not set, or the schema is wrong.
        DataError: the tables are missing or wrong, or could not be fetched.
    """
    if spec.prepared is not None:
        return _expanded(spec.prepared, name, base).resolve()
    paths = {t: _expanded(given, name, base) for t in TABLES if (given := getattr(spec, t)) is not None}
    folder = (store / f"{name}-{_digest(spec, paths)}").resolve()
    if not is_dataset(folder):
        with console.status(f"preparing {name}"):
            prepare(**_tables(spec, paths), schema=_schema(spec), out=folder)
    return folder


def _tables(spec: DataSpec, paths: dict[str, Path]) -> dict[str, Any]:
    if spec.source is None:
        return dict(paths)
    fetched = movielens_100k()
    console.print(f"{fetched.origin}\n[dim]{MOVIELENS_NOTICE}[/]")
    return {"interactions": fetched.interactions, "items": fetched.items, "users": fetched.users}


def _schema(spec: DataSpec) -> Schema:
    columns = [f"{contract}={own}" for contract, own in spec.columns.items()]
    return Schema(item_kinds=spec.item_kinds, user_kinds=spec.user_kinds).with_columns(columns)


def _expanded(text: str, name: str, base: Path) -> Path:
    """The path with ``${NAME}`` filled in from the environment."""
    try:
        return base / os.path.expanduser(Template(text).substitute(os.environ))
    except KeyError as error:
        fix = f"Set {error.args[0]}, or choose other data sets with --data NAME."
        raise ConfigError(f"{text} needs an environment variable", f"data.{name}", fix) from None
    except ValueError:
        fix = "Write ${NAME} for an environment variable and $$ for a dollar."
        raise ConfigError(f"{text!r} cannot be expanded", f"data.{name}", fix) from None


def _digest(spec: DataSpec, paths: dict[str, Path]) -> str:
    """Changes with the tables' files (path, size, time of change) and the schema."""
    files = [
        (table, str(file), file.stat().st_size, file.stat().st_mtime_ns)
        for table, path in paths.items()
        for file in find_files(path)
    ]
    identity = [files, spec.source, spec.columns, spec.item_kinds, spec.user_kinds]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
