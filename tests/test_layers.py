"""Imports point one way: jobs -> engine <- serve_apps, and the engine never meets Ray."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FORBIDDEN = {
    "engine": {"ray", "jobs", "serve_apps", "fastapi", "starlette", "typer"},
    "serve_apps": {"jobs"},
    "jobs": {"serve_apps"},
}
COMPOSITION_ROOT = Path("jobs/cli.py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_no_file_imports_what_its_layer_must_not_know(layer: str) -> None:
    files = [path.relative_to(PROJECT) for path in (PROJECT / layer).rglob("*.py")]
    assert files
    wrong = [
        f"{path} imports {name}"
        for path in files
        if path != COMPOSITION_ROOT
        for name in FORBIDDEN[layer] & set(imports(PROJECT / path))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "kept_out"),
    [("engine.recommender", ["ray", "sklearn"]), ("jobs.training.stream", ["torch", "sklearn"])],
)
def test_what_takes_seconds_is_loaded_where_it_is_needed(module: str, kept_out: list[str]) -> None:
    """Ray starts several processes that deal users out, and each of them imports the stream."""
    code = f"import sys, {module}; sys.exit(any(m in sys.modules for m in {kept_out}))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT).returncode == 0
