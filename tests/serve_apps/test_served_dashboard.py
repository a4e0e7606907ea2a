"""Each panel of the dashboard shows something of an application that is served and loaded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from serve_apps.client import Client
from tests.prometheus_server import Prometheus, prometheus
from tests.serve_apps.conftest import Served
from tests.serve_apps.dashboard_panels import Panel, named, panels
from tests.serve_apps.load import steady_load

WINDOW = "30s"  # Ray hands its metrics on every ten seconds


def test_lines_are_called_by_their_labels() -> None:
    assert named("{{path}} {{status}}", {"path": "/v1/events", "status": "200"}) == "/v1/events 200"
    assert named("p50", {}) == "p50"


@pytest.mark.benchmark  # half a minute
@pytest.mark.ray
def test_every_query_of_every_panel_is_answered(served: Served, tmp_path: Path) -> None:
    start = time.time()
    there = served.url.removeprefix("http://")
    with prometheus(tmp_path, there, served.key) as page, Client(served.url, served.key) as client:
        client.recommend(events=[{"item_id": "nope"}])
        with steady_load(served.url, served.key, "panels", callers=2):
            empty = [panel.title for panel in panels()]
            while empty and time.time() < start + 60:
                time.sleep(2)
                empty = [panel.title for panel in panels() if not _shows(panel, page, start)]
    assert empty == []


def _shows(panel: Panel, page: Prometheus, start: float) -> bool:
    """Does each of its queries have a line with at least one number?"""
    alone = (Panel(panel.title, panel.unit, (target,)) for target in panel.targets)
    return all(
        any(series.points for _, series in one.lines(page, start, time.time(), WINDOW)) for one in alone
    )
