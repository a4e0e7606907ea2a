"""``firstclick keys`` and ``firstclick models`` at the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.errors import ArtifactError, ConfigError
from jobs.cli import app
from serve_apps.model_registry import ModelRegistry
from serve_apps.roll_out import Canary, RollOut
from serve_apps.security.api_keys import ApiKeys, Scope


def run(*words: Any) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_keys_are_made_shown_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    made = run("keys", "create", "the shop", "--file", file, "--scope", "admin")
    text = made.stdout.strip()
    key = ApiKeys(file).find(text)
    assert (key.name, key.scope) == ("the shop", Scope.ADMIN)
    listed = run("keys", "list", "--file", file).stdout
    assert key.id in listed
    assert json.loads(run("keys", "list", "--json", "--file", file).stdout)[0]["name"] == "the shop"
    assert text not in listed
    run("keys", "revoke", key.id, "--file", file)
    assert ApiKeys(file).find(text) is None


def test_models_are_added_and_rolled_out(tmp_path: Path, artifacts: list[str]) -> None:
    at = ("--registry", tmp_path / "registry")
    registry = ModelRegistry(tmp_path / "registry")
    a, b, _ = (run("models", "add", artifact, *at).stdout.split()[-1] for artifact in artifacts)
    run("models", "promote", a, *at)
    run("models", "canary", b, "--share", "0.25", *at)
    assert registry.roll_out() == RollOut(live=a, canary=Canary(version=b, share=0.25))
    assert "canary, 25.00% of people" in run("models", "list", *at).stdout
    listed = json.loads(run("models", "list", "--json", *at).stdout)
    assert {row["version"]: row["use"][:6] for row in listed if row["use"]} == {a: "live", b: "canary"}
    run("models", "promote", b, *at)
    run("models", "rollback", *at)
    run("models", "shadow", b, *at)
    assert registry.roll_out() == RollOut(live=a, shadow=b)
    run("models", "shadow", *at)
    run("models", "remove", b, *at)
    assert b not in run("models", "list", *at).stdout


def test_what_cannot_be_done_is_said_and_changes_nothing(tmp_path: Path, artifacts: list[str]) -> None:
    at = ("--registry", tmp_path / "registry")
    with pytest.raises(ArtifactError, match="no artifact here"):
        run("models", "add", tmp_path, *at)
    with pytest.raises(ConfigError, match="no version was live before"):
        run("models", "rollback", *at)
    with pytest.raises(ConfigError, match="nothing is live in the registry"):
        run("serve", *at)
