"""What is measured, and how the pages of several nodes become one."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter as Tally
from pathlib import Path
from typing import Any

import pytest
from ray.util.metrics import Counter

import serve_apps
from serve_apps.histogram import Histogram
from serve_apps.ingress import create_app
from serve_apps.service import Service
from serve_apps.telemetry import MOST, Telemetry, merged
from tests.serve_apps.conftest import Client, models_of

DASHBOARD = Path(serve_apps.__file__).with_name("dashboard.json")


def dashboard_metrics() -> set[str]:
    """Names of all metrics that the dashboard asks for."""
    return set(re.findall(r"\bray_\w+", DASHBOARD.read_text()))


class Recorded:
    """Keeps what it is told, in place of Ray's metrics."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.recommendations: list[tuple[Any, ...]] = []

    def answered_request(self, path: str, status: int, seconds: float) -> None:
        assert seconds > 0
        self.requests.append((path, status))

    def recommended(self, version: str, shots: int, ignored: int, laps: dict[str, float]) -> None:
        self.recommendations.append((version, shots, ignored, laps))


def test_each_request_and_the_phases_of_each_recommendation_are_measured(real) -> None:
    recorded = Recorded()
    client = Client(create_app(Service(models_of(real), telemetry=recorded)))
    client.recommend(events=[{"item_id": "103"}, {"item_id": "nope"}])
    client.recommend(explain=True)
    client("GET", "/v1/users/somebody/events")
    assert recorded.requests == [("/v1/recommend", 200)] * 2 + [("/v1/users/{user_id}/events", 404)]
    (version, shots, ignored, laps), other = recorded.recommendations
    assert (version, shots, ignored) == (real.version, 1, 1)
    assert set(laps) == set(other[3]) == {"parse", "store", "adapt", "score", "top_k"}
    assert all(seconds > 0 for seconds in laps.values())


class Told:
    """Keeps what one of Ray's counters is told, summed by its labels."""

    def __init__(self) -> None:
        self.values: Tally[tuple[str, ...]] = Tally()

    def inc(self, value: float, tags: dict[str, str] | None = None) -> None:
        assert value > 0, "Ray takes nothing else"
        self.values[tuple((tags or {}).values())] += value


def test_every_request_is_counted_also_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = Telemetry()
    told = {name: Told() for name in ("phases", "shots", "ignored", "answers", "requests")}
    for name in ("ignored", "answers"):
        monkeypatch.setattr(telemetry, f"_{name}", told[name])
    for name in ("phases", "shots"):
        monkeypatch.setattr(getattr(telemetry, f"_{name}"), "_buckets", told[name])
    monkeypatch.setattr(telemetry._requests, "_count", told["requests"])

    async def load() -> None:
        for n in range(MOST):
            telemetry.recommended("old" if n % 2 else "new", shots=n, ignored=1, laps={"adapt": 0.5})
        await asyncio.sleep(0)
        for status in (200, 200, 404):
            telemetry.answered_request("/v1/recommend", status, 0.01)
        telemetry.flush()

    asyncio.run(load())
    assert told["requests"].values == {("/v1/recommend", "200"): 2, ("/v1/recommend", "404"): 1}
    assert told["phases"].values["adapt", "+Inf"] == MOST
    assert told["shots"].values["1.5",] == 2
    assert told["ignored"].values[()] == MOST
    assert told["answers"].values == {("new",): MOST / 2, ("old",): MOST / 2}


def test_buckets_count_what_is_up_to_and_with_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    histogram = Histogram("firstclick_test", "Some.", [0.5, 1, 2], ("kind",))
    buckets, total, count = Told(), Told(), Told()
    for name, told in (("_buckets", buckets), ("_sum", total), ("_count", count)):
        monkeypatch.setattr(histogram, name, told)
    histogram.observe([1.0, 1.5, 9.0], {"kind": "a"})
    histogram.observe([0.0], {"kind": "b"})
    histogram.observe([], {"kind": "c"})
    assert count.values == {("a",): 3, ("b",): 1}
    counted = {labels: round(value, 3) for labels, value in buckets.values.items()}
    assert counted == {
        **{("a", end): count for end, count in zip(("0.5", "1", "2", "+Inf"), (0, 1, 2, 3), strict=True)},
        **{("b", end): 1 for end in ("0.5", "1", "2", "+Inf")},
    }
    assert {labels: round(value, 3) for labels, value in total.values.items()} == {("a",): 11.5, ("b",): 0}


def test_without_measuring_there_is_no_page(real_client) -> None:
    assert real_client("GET", "/metrics").status_code == 404


ONE = """# HELP ray_other x
# TYPE ray_other gauge
ray_other{n="1"} 1.0
# HELP ray_firstclick_shots Events.
# TYPE ray_firstclick_shots histogram
ray_firstclick_shots_bucket{n="1",le="1"} 2.0
ray_firstclick_shots_count{n="1"} 2.0
"""
TWO = """# HELP ray_firstclick_shots Events.
# TYPE ray_firstclick_shots histogram
ray_firstclick_shots_count{n="2"} 3.0
# HELP ray_serve_x y
# TYPE ray_serve_x gauge
ray_serve_x 1.0
"""


def test_families_stand_together_and_others_are_left_out() -> None:
    assert merged([ONE, TWO]).splitlines() == [
        "# HELP ray_firstclick_shots Events.",
        "# TYPE ray_firstclick_shots histogram",
        'ray_firstclick_shots_bucket{n="1",le="1"} 2.0',
        'ray_firstclick_shots_count{n="1"} 2.0',
        'ray_firstclick_shots_count{n="2"} 3.0',
        "# HELP ray_serve_x y",
        "# TYPE ray_serve_x gauge",
        "ray_serve_x 1.0",
    ]
    assert merged([]) == ""


def test_the_dashboard_shows_what_is_measured() -> None:
    """Names that it asks for are declared; that they really arrive is tested on the served application."""
    families = [
        {f"ray_{counter.info['name']}_total" for counter in getattr(part, "counters", [part])}
        for part in vars(Telemetry()).values()
        if isinstance(part, (Counter, Histogram))
    ]
    shown = {name for name in dashboard_metrics() if name.startswith("ray_firstclick_")}
    assert shown <= set().union(*families)
    assert all(family & shown for family in families)


def test_the_dashboards_panels_have_places_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(
        target["expr"].count("(") == target["expr"].count(")") for p in panels for target in p["targets"]
    )
