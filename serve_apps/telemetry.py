"""What is measured while serving, as Ray's own metrics: each node's agent gathers them from its replicas.

What is seen of many requests is counted at once, after their answers. Ray puts ``ray_`` before each
name; Prometheus finds the agents through Ray, or reads ``/metrics``, where any replica answers for all nodes
(``gathered``). No label holds an id of a person.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import httpx
import ray
from ray.util.metrics import Counter

from serve_apps.batches import Batches
from serve_apps.histogram import Histogram

K = TypeVar("K")

FAMILIES = ("ray_firstclick_", "ray_serve_")
SCRAPE_TIMEOUT_S = 5.0

_SECONDS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
_SHOTS = [0.5, 1.5, 3.5, 5.5, 10.5, 20.5, 50.5, 100.5, 500.5]

MOST, PAUSE_S = 250, 1.0
"""So many requests, or those of so many seconds, are counted together: about a millisecond's work."""


class Recommended(NamedTuple):
    """What is observed of a recommendation."""

    model_version: str
    shots: int
    ignored: int
    laps: Mapping[str, float]  # phase -> seconds


class Telemetry:
    """One of each kind of metric, for this process. Used in an event loop."""

    def __init__(self) -> None:
        self._requests = Histogram(
            "firstclick_request_seconds",
            "Time to answer, by the path's pattern and the status.",
            _SECONDS,
            ("path", "status"),
        )
        self._phases = Histogram(
            "firstclick_phase_seconds",
            "Parts of a recommendation: parse, store, adapt, score, top_k. Where several are made together, "
            "score is all of it, with waiting.",
            _SECONDS,
            ("phase",),
        )
        self._shots = Histogram("firstclick_shots", "Events that a recommendation used.", _SHOTS)
        self._ignored = Counter("firstclick_ignored_events", "Events that could not be used.")
        self._answers = Counter(
            "firstclick_answers", "Recommendations, by the model that gave them.", ("model_version",)
        )

        self._answered = Batches(self._observe_requests, MOST, PAUSE_S)
        self._recommended = Batches(self._observe_recommendations, MOST, PAUSE_S)

    def answered_request(self, path: str, status: int, seconds: float) -> None:
        self._answered.add((path, status, seconds))

    def recommended(self, version: str, shots: int, ignored: int, laps: Mapping[str, float]) -> None:
        self._recommended.add(Recommended(version, shots, ignored, laps))

    def flush(self) -> None:
        """Count what waits: before a replica goes. One that is killed loses it."""
        self._answered.flush()
        self._recommended.flush()

    def _observe_requests(self, requests: list[tuple[str, int, float]]) -> None:
        for (path, status), seconds in _grouped((one[:2], one[2]) for one in requests):
            self._requests.observe(seconds, {"path": path, "status": str(status)})

    def _observe_recommendations(self, recommended: list[Recommended]) -> None:
        for phase, seconds in _grouped(lap for one in recommended for lap in one.laps.items()):
            self._phases.observe(seconds, {"phase": phase})
        self._shots.observe([one.shots for one in recommended])
        ignored = sum(one.ignored for one in recommended)
        if ignored:
            self._ignored.inc(ignored)
        for version, count in Tally(one.model_version for one in recommended).items():
            self._answers.inc(count, {"model_version": version})


def _grouped(pairs: Iterable[tuple[K, float]]) -> Iterable[tuple[K, list[float]]]:
    """The values of each key."""
    groups: dict[K, list[float]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups.items()


async def gathered() -> str:
    """The metrics of all nodes in Prometheus' text format; a node that does not answer is left out."""
    nodes = await asyncio.to_thread(ray.nodes)
    places = [
        f"http://{n['NodeManagerAddress']}:{n['MetricsExportPort']}/metrics" for n in nodes if n["Alive"]
    ]
    async with httpx.AsyncClient(timeout=SCRAPE_TIMEOUT_S) as http:
        answers = await asyncio.gather(*(http.get(place) for place in places), return_exceptions=True)
    return merged(a.text for a in answers if isinstance(a, httpx.Response) and a.is_success)


def merged(pages: Iterable[str]) -> str:
    """One page of the families that are ours or Serve's; each family stands together, as the format asks."""
    families: dict[str, list[str]] = {}
    name = ""
    for line in (line for page in pages for line in page.splitlines()):
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
        if not name.startswith(FAMILIES):
            continue
        lines = families.setdefault(name, [])
        if not line.startswith("#") or line not in lines:
            lines.append(line)
    return "".join(f"{line}\n" for lines in families.values() for line in lines)
