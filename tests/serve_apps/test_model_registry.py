"""Versions on disk and the roll-out file: every change whole, checked and reversible."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.artifact import load_artifact
from engine.errors import ArtifactError, ConfigError
from serve_apps.model_registry import ModelRegistry
from serve_apps.roll_out import Canary, RollOut


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path / "registry")


@pytest.fixture
def versions(registry: ModelRegistry, artifacts: list[str]) -> list[str]:
    return [registry.add(Path(artifact)) for artifact in artifacts]


def test_an_empty_registry_has_nothing(registry: ModelRegistry) -> None:
    assert registry.versions() == []
    assert registry.roll_out() is None
    assert registry.stamp() is None


def test_added_versions_are_whole_and_listed_and_answer_nobody(registry, versions, artifacts) -> None:
    assert sorted(info.version for info in registry.versions()) == sorted(versions)
    assert registry.add(Path(artifacts[0])) == versions[0]
    loaded = load_artifact(registry.artifact(versions[0]))
    assert loaded.manifest == load_artifact(Path(artifacts[0])).manifest
    assert registry.roll_out() is None


def test_promotion_and_rollback(registry, versions) -> None:
    a, b, c = versions
    assert registry.promote(a) == RollOut(live=a)
    registry.promote(b)
    before = registry.stamp()
    registry.promote(c)
    assert registry.stamp() != before
    assert registry.rollback() == RollOut(live=b)
    assert registry.rollback() == RollOut(live=a) == registry.roll_out()
    with pytest.raises(ConfigError, match="no version was live before"):
        registry.rollback()


def test_canary_and_shadow_come_and_go(registry, versions) -> None:
    a, b, c = versions
    registry.promote(a)
    registry.set_canary(b, 0.1)
    assert registry.set_shadow(c) == RollOut(live=a, canary=Canary(version=b, share=0.1), shadow=c)
    assert registry.promote(b) == RollOut(live=b, shadow=c), "a promoted canary is no longer one"
    assert registry.set_shadow(None) == RollOut(live=b)
    registry.set_canary(a, 1.0)
    assert registry.set_canary(None) == RollOut(live=b)
    with pytest.raises(ConfigError, match=r"^live, canary and shadow must be different versions"):
        registry.set_canary(b, 0.1)
    assert registry.rollback() == RollOut(live=a)


def test_nothing_but_a_promotion_comes_first(registry, versions) -> None:
    with pytest.raises(ConfigError, match="nothing is live yet"):
        registry.set_canary(versions[0], 0.1)


@pytest.mark.parametrize("version", ["nope", "../registry", "", ".", "a/b"])
def test_an_unknown_version_is_refused_and_nothing_changes(registry, versions, version: str) -> None:
    registry.promote(versions[0])
    for attempt in (registry.promote, registry.set_shadow, registry.remove):
        with pytest.raises((ArtifactError, ConfigError)):
            attempt(version)
    assert registry.roll_out() == RollOut(live=versions[0])
    assert len(registry.versions()) == 3


def test_a_broken_version_is_refused_and_nothing_changes(registry, versions) -> None:
    a, b, _ = versions
    registry.promote(a)
    (registry.artifact(b) / "weights.safetensors").write_bytes(b"broken")
    for change in (registry.promote, registry.set_shadow, lambda v: registry.set_canary(v, 0.5)):
        with pytest.raises(ArtifactError, match=r"weights\.safetensors"):
            change(b)
    assert registry.roll_out() == RollOut(live=a)


def test_a_broken_artifact_is_not_added(registry, artifacts, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(artifacts[0], broken)
    (broken / "features.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"features\.json"):
        registry.add(broken)
    assert registry.versions() == []


def test_what_is_in_use_is_not_removed(registry, versions) -> None:
    a, b, c = versions
    registry.promote(a)
    registry.set_shadow(b)
    for version in (a, b):
        with pytest.raises(ConfigError, match="is in use"):
            registry.remove(version)
    registry.remove(c)
    assert {info.version for info in registry.versions()} == {a, b}


def test_a_roll_out_that_cannot_be_read_is_said_to_be(registry, versions) -> None:
    registry.promote(versions[0])
    (registry.folder / "roll_out.json").write_text('{"roll_out": {"live": 5}}')
    with pytest.raises(ConfigError, match=r"the roll-out cannot be read.*roll_out\.json"):
        registry.roll_out()
