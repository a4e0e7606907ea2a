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


def test_recommending_loads_no_ray() -> None:
    code = "import sys; from engine import Recommender; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT).returncode == 0
