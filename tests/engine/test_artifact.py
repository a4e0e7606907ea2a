"""The artifact keeps what it was given and refuses what is broken or newer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import ArtifactError, Recommender
from engine.artifact import (
    CARD,
    CATALOGUE,
    FEATURES,
    HISTORY,
    MANIFEST,
    NEIGHBOURS,
    WEIGHTS,
    load_artifact,
    save_artifact,
)
from engine.config import load_config
from engine.data.dataset import Dataset
from engine.learning.experiment import set_up
from engine.learning.setup import build_model, build_training
from tests.small import SMALL

EVENTS: list[dict[str, object]] = [{"item_id": "i2", "value": 5}, {"item_id": "i7", "value": 1}]


@pytest.fixture
def copy(checkerboard_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkerboard_artifact, tmp_path / "copy"))


def test_holds_the_files_it_promises(checkerboard_artifact: Path) -> None:
    names = {path.name for path in checkerboard_artifact.iterdir()}
    assert names == {MANIFEST, WEIGHTS, CATALOGUE, FEATURES, NEIGHBOURS, CARD, HISTORY}


def test_manifest_says_what_it_is(checkerboard_artifact: Path, checkerboard_data: Path) -> None:
    manifest = json.loads((checkerboard_artifact / MANIFEST).read_text())
    assert manifest["format_version"] == 4
    assert manifest["dataset"]["fingerprint"] == Dataset.load(checkerboard_data).manifest["fingerprint"]
    assert manifest["config"]["items"]["dim"] == 8
    assert set(manifest["files"]) == {WEIGHTS, CATALOGUE, FEATURES, NEIGHBOURS, CARD, HISTORY}
    assert manifest["quality"]["test"]["firstclick"]["0"] > 0


def test_card_has_counts_quality_and_configuration(checkerboard_artifact: Path) -> None:
    card = (checkerboard_artifact / CARD).read_text()
    for part in ("200 users", "60 items", "2,400 events", "nDCG@10", "firstclick", "dim"):
        assert part in card


def test_saved_and_loaded_gives_the_same_scores(checkerboard_artifact: Path, tmp_path: Path) -> None:
    artifact = load_artifact(checkerboard_artifact)
    save_artifact(artifact, tmp_path / "again")
    ours, theirs = Recommender(artifact), Recommender.load(tmp_path / "again")
    assert np.array_equal(ours.score(EVENTS, {"age": 40}), theirs.score(EVENTS, {"age": 40}))
    assert ours.rivals(EVENTS) == theirs.rivals(EVENTS)
    assert ours.version == theirs.version


def test_an_artifact_without_neighbours_knows_popularity_alone(
    checkerboard_artifact: Path, tmp_path: Path
) -> None:
    artifact = load_artifact(checkerboard_artifact)
    assert set(Recommender(artifact).rivals(EVENTS)) == {"popularity", "item-kNN"}
    save_artifact(replace(artifact, neighbours=None), tmp_path / "plain")
    plain = Recommender.load(tmp_path / "plain")
    assert set(plain.rivals(EVENTS)) == {"popularity"}
    assert plain.version != artifact.manifest["version"]


def test_item_knn_tells_the_two_kinds_of_items_apart(checkerboard_artifact: Path) -> None:
    """On the checkerboard a user of one kind wants items of that kind alone."""
    recommender = Recommender.load(checkerboard_artifact)
    for parity in (0, 1):
        liked = [{"item_id": f"i{item}"} for item in range(parity, 8, 2)]
        shown = recommender.rivals(liked)["item-kNN"]
        assert {int(item_id[1:]) % 2 for item_id in shown} == {parity}


def test_the_model_as_trained_equals_the_model_as_loaded(
    checkerboard_data: Path, checkerboard_artifact: Path
) -> None:
    experiment = set_up(Dataset.load(checkerboard_data), load_config(None, SMALL))
    training = build_training(experiment, build_model(experiment))
    for _ in training.run():
        pass
    loaded = load_artifact(checkerboard_artifact).model.state_dict()
    for name, tensor in training.best_model().state_dict().items():
        assert tensor.equal(loaded[name]), name


def test_the_history_of_training_is_kept(checkerboard_artifact: Path, tmp_path: Path) -> None:
    artifact = load_artifact(checkerboard_artifact)
    assert [report.passes_done for report in artifact.history] == list(range(1, len(artifact.history) + 1))
    best = max(report.quality for report in artifact.history)
    assert artifact.history[-1].best_quality == best
    assert artifact.manifest["quality"]["validation"]["value"] == best


def test_an_artifact_without_history_loads(checkerboard_artifact: Path, tmp_path: Path) -> None:
    artifact = replace(load_artifact(checkerboard_artifact), history=())
    manifest = save_artifact(artifact, tmp_path / "old")
    assert HISTORY not in manifest["files"]
    assert manifest["version"] == artifact.manifest["version"]  # it is no part of what is served
    assert load_artifact(tmp_path / "old").history == ()


def test_another_model_has_another_version(copy: Path) -> None:
    artifact = load_artifact(copy)
    before = artifact.manifest["version"]
    artifact.model.prior.x_mean_F += 1
    assert save_artifact(artifact, copy)["version"] != before


def newer(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format_version": 99}))


def without(key: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        del manifest[key]
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return remove


def flip(name: str) -> Callable[[Path], None]:
    def break_it(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return break_it


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (newer, "format 99 is newer"),
        (flip(WEIGHTS), "weights.safetensors is not the file that was saved"),
        (flip(CATALOGUE), "catalogue.parquet is not the file"),
        (lambda folder: (folder / FEATURES).unlink(), "features.json is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "manifest.json is not an artifact"),
        (
            lambda folder: (folder / MANIFEST).write_text('{"format_version": 1}'),
            "manifest.json is not an artifact",
        ),
        (without("dataset"), "manifest.json is incomplete: dataset"),
        (without("files"), "manifest.json is incomplete: files"),
        (lambda folder: (folder / MANIFEST).unlink(), "no artifact here"),
        (shutil.rmtree, "no artifact here"),
    ],
)
def test_a_broken_artifact_is_refused_with_the_reason(
    copy: Path, break_it: Callable[[Path], None], message: str
) -> None:
    break_it(copy)
    with pytest.raises(ArtifactError, match=message):
        Recommender.load(copy)


def test_will_not_replace_what_is_not_an_artifact(checkerboard_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / MANIFEST).write_text('{"format": "something else"}')
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="will not replace"):
        save_artifact(load_artifact(checkerboard_artifact), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").exists()
