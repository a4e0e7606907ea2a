"""What is measured, and how the pages of several nodes become one."""

from __future__ import annotations

from typing import Any

from serve_apps.ingress import create_app
from serve_apps.service import Service
from serve_apps.telemetry import merged
from tests.serve_apps.conftest import Client, models_of


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
