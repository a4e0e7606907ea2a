"""The demo from its first line to its last, on the checkerboard in place of MovieLens."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import Config, load_config
from engine.data.sources.checkerboard import checkerboard
from jobs import demo
from serve_apps.local import serving
from tests.ports import free_port
from tests.small import SMALL


def small_config(path: None, options: list[str]) -> Config:
    return load_config(path, [*SMALL, *options])


@pytest.mark.ray
def test_demo_trains_compares_serves_and_asks(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "movielens_100k", lambda folder: checkerboard(events_per_user=28))
    monkeypatch.setattr(demo, "load_config", small_config)
    monkeypatch.setattr(demo, "SEEDS", (0,))
    monkeypatch.setattr(demo, "LIKES", ("i2", "i4", "i6"))
    port = free_port()
    waited: list[bool] = []
    demo.demo(tmp_path, None, 0, port, serving, lambda: waited.append(True))
    out = capsys.readouterr().out
    assert waited == [True]
    assert "firstclick" in out
    assert "lead over the best other" in out
    assert "adapted and ranked in" in out
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")
