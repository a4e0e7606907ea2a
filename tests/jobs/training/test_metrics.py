"""Where a run's figures go: TensorBoard's files wherever they are kept, Ray's gauges, and lines of JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event

from engine.learning.training import PassReport
from jobs import terminal
from jobs.training import metrics
from jobs.training.metrics import MEASURED, recorded, to_ray
from jobs.training.storage import Folder

REPORTS = [PassReport(1, 3.5, 0.25, 0.25, 1.5), PassReport(2, 3.25, 0.125, 0.25, 1.0)]


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """What is in the event files: records of (length, crc, payload, crc)."""
    found = {}
    for path in folder.glob("events.*"):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            found |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
            data = data[16 + length :]
    return found


@pytest.mark.parametrize("remote", [False, True])
def test_every_figure_of_every_pass_is_in_tensorboards_files(tmp_path: Path, remote: bool) -> None:
    elsewhere = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    folder = Folder(elsewhere, "board") if remote else Folder.at(tmp_path, "board")
    assert list(recorded(iter(REPORTS), folder, "r")) == REPORTS
    found = scalars(tmp_path / "board")
    assert found == {(f"train/{name}", r.passes_done): getattr(r, name) for r in REPORTS for name in MEASURED}


@pytest.mark.ray
def test_ray_gets_every_figure_by_run(ray_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.util.metrics import Gauge

    said = {}
    monkeypatch.setattr(metrics, "_gauges", {})
    monkeypatch.setattr(
        Gauge, "set", lambda self, value, tags: said.update({(self.info["name"], tags["run"]): value})
    )
    to_ray(REPORTS[0], "r")
    assert said == {(f"firstclick_train_{name}", "r"): getattr(REPORTS[0], name) for name in MEASURED}


def test_without_ray_nothing_is_sent_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metrics.sys.modules, "ray", None)
    to_ray(REPORTS[0], "r")


def test_a_job_speaks_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.setattr(terminal, "console", Console(force_terminal=False))
    last = terminal.show_passes(iter(REPORTS), 2, "nDCG@10")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert last == REPORTS[1]
    assert [(x["event"], x["passes_done"], x["loss"]) for x in lines] == [("pass", 1, 3.5), ("pass", 2, 3.25)]
    monkeypatch.setenv("FIRSTCLICK_LOG", "text")
    terminal.show_passes(iter(REPORTS), 2, "nDCG@10")
    assert capsys.readouterr().out.startswith("pass 1/2 loss 3.5")
