"""The panels of the dashboard, as values: what each asks Prometheus and how it calls the answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import serve_apps
from tests.prometheus_server import Prometheus, Series

DASHBOARD = Path(serve_apps.__file__).with_name("dashboard.json")


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    targets: tuple[tuple[str, str], ...]  # query, name of its lines with {{label}} in it

    def lines(
        self, prometheus: Prometheus, start: float, end: float, window: str
    ) -> list[tuple[str, Series]]:
        """What the panel shows, by name; ``window``: what Grafana puts in place of its rate interval."""
        return [
            (named(legend, series.labels), series)
            for query, legend in self.targets
            for series in prometheus.lines(query.replace("$__rate_interval", window), start, end)
        ]


def named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda m: labels.get(m[1], ""), legend)


def panels() -> list[Panel]:
    """From the top left to the bottom right."""
    shown = json.loads(DASHBOARD.read_text())["panels"]
    shown.sort(key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))
    return [
        Panel(
            panel["title"],
            panel["fieldConfig"]["defaults"]["unit"],
            tuple((target["expr"], target["legendFormat"]) for target in panel["targets"]),
        )
        for panel in shown
    ]
