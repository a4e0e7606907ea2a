"""The page tells what artifact, data and measurement say; it opens alone and trusts no text of the data."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.artifact import load_artifact, save_artifact
from engine.errors import DataError
from engine.evaluation.metrics import calibration_of_values
from jobs.evaluate import evaluate, save_reports
from jobs.report import report


class Seen(HTMLParser):
    """Tags, ids, what is linked, and all text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attributes:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.links.append(str(value))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def quality(
    checkerboard_artifact: Path, checkerboard_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    reports = evaluate(checkerboard_artifact, checkerboard_data)
    save_reports({name: [one] for name, one in reports.items()}, folder)
    return folder


def test_with_data_it_tells_everything_and_needs_nothing(
    checkerboard_artifact: Path, checkerboard_data: Path, quality: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "page.html"
    page = report(checkerboard_artifact, checkerboard_data, out, quality, tmp_path / "png")
    seen = Seen(out)
    assert not seen.tags["script"] + seen.tags["iframe"] + seen.tags["img"]
    assert all(link.startswith(("#", "data:")) for link in seen.links)
    assert "@import" not in out.read_text()
    assert "url(http" not in out.read_text()
    assert len(seen.ids) == len(set(seen.ids))
    assert {link.removeprefix("#") for link in seen.links if link.startswith("#")} <= set(seen.ids)
    assert seen.tags["svg"] == len(page.charts) == len(list((tmp_path / "png").glob("*.png")))
    told = json.loads((quality / "quality.json").read_text())[0]
    assert f"{len(told['values'][0][0][0])} users" in seen.text
    for part in ("200 users", "popularity", "iALS fold-in", "rating=5", "By age", "items.dim", "sha256"):
        assert part in seen.text


def test_the_artifact_alone_tells_what_it_can(checkerboard_artifact: Path, tmp_path: Path) -> None:
    page = report(checkerboard_artifact, None, tmp_path / "page.html")
    names = [section.name for section in page.sections]
    assert names == [
        "training",
        "quality",
        "calibration",
        "learned",
        "neighbours",
        "configuration",
        "fingerprints",
    ]
    assert {chart.name for chart in page.charts} >= {"training-loss", "quality", "recency"}
    history = load_artifact(checkerboard_artifact).history
    assert f"{len(history)} passes" in page.sections[0].text


def test_neighbours_of_a_checkerboard_are_of_its_kind(checkerboard_artifact: Path, tmp_path: Path) -> None:
    page = report(checkerboard_artifact, None, tmp_path / "page.html")
    (grid,) = next(section for section in page.sections if section.name == "neighbours").grids
    kind = [
        (int(item[1:]) % 2, [int(i) % 2 for i in re.findall(r"i(\d+) \(", near)]) for item, near in grid.rows
    ]
    assert len(kind) == 12
    assert np.mean([own == other for own, others in kind for other in others]) > 0.9


def test_what_the_data_say_is_escaped(checkerboard_artifact: Path, tmp_path: Path) -> None:
    artifact = load_artifact(checkerboard_artifact)
    evil = [f"<script>alert({i})</script> $x$ {{{{ 1 }}}}" for i in range(artifact.items.num_rows)]
    names = tuple(f"<b>{name}$" for name in artifact.signals.names)
    artifact = replace(
        artifact,
        items=artifact.items.append_column("title", pa.array(evil)),
        signals=replace(artifact.signals, names=names),
    )
    save_artifact(artifact, tmp_path / "evil")
    report(tmp_path / "evil", None, tmp_path / "page.html")
    seen = Seen(tmp_path / "page.html")
    assert not seen.tags["script"] + seen.tags["b"]
    assert "<script>alert(" in seen.text
    assert "{{ 1 }}" in seen.text


def test_quality_of_another_artifact_is_refused(
    checkerboard_artifact: Path, checkerboard_data: Path, quality: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(quality, tmp_path / "quality") / "quality.json"
    raw = json.loads(copy.read_text())
    raw[0]["context"]["artifact"] = "another"
    copy.write_text(json.dumps(raw))
    with pytest.raises(DataError, match="measured of artifact another"):
        report(checkerboard_artifact, checkerboard_data, tmp_path / "page.html", copy)
    copy.write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        report(checkerboard_artifact, checkerboard_data, tmp_path / "page.html", copy)


def test_predicted_numbers_against_given_ones() -> None:
    predicted = np.array([1.0, 1, 2, 2, 3, np.nan])
    table = calibration_of_values(predicted, np.array([1.0, 2, 2, np.nan, 5, 1]), bins=3)
    assert table.count.tolist() == [2, 1, 1]
    assert table.predicted.tolist() == [1, 2, 3]
    assert table.observed.tolist() == [1.5, 2, 5]
    assert table.error == (2 * 0.5 + 0 + 2) / 4
