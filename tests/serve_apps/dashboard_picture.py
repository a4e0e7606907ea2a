"""Draws the dashboard's panels, by its own queries, from a server under load that Prometheus watches.

    python -m tests.serve_apps.dashboard_picture tests/serve_apps/pictures/dashboard.png

It is a drawing of what Grafana is told to show, not Grafana. Three minutes: load that grows and falls, some
events with unknown items, a second model from the middle on.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import ray
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, SecondLocator
from matplotlib.ticker import EngFormatter, PercentFormatter

from serve_apps.client import Client
from serve_apps.local import serving
from serve_apps.model_registry import ModelRegistry
from serve_apps.security.api_keys import Scope, create_key
from tests.ports import free_port
from tests.prometheus_server import Series, prometheus
from tests.serve_apps.conftest import drawn_artifact
from tests.serve_apps.dashboard_panels import panels
from tests.serve_apps.load import steady_load

CALLERS = (1, 2, 4, 3, 1)  # by part
PART_S = 32.0
SETTLED_S = 25.0  # until the first rates are there
FORMATS = {
    "s": EngFormatter("s", places=0),
    "percentunit": PercentFormatter(1, decimals=0),
    "reqps": EngFormatter("/s", places=0),
}


def main(out: Path) -> None:
    ray.init("local", include_dashboard=True, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry = ModelRegistry(folder / "registry")
        first, second = (
            registry.add(Path(drawn_artifact(folder / f"artifact-{seed}", seed))) for seed in (5, 6)
        )
        registry.promote(first)
        keys = folder / "keys.json"
        _, key = create_key(keys, "picture", Scope.ADMIN)
        kept = {"event_store": str(folder / "events.sqlite"), "api_keys": str(keys), "num_replicas": 2}
        with (
            serving(port=free_port(), registry=str(registry.folder), **kept) as server,
            prometheus(folder, server.url.removeprefix("http://"), key) as page,
        ):
            start = time.time()
            _load(server.url, key, second)
            span = (start + SETTLED_S, time.time())
            shown = [(p.title, p.unit, p.lines(page, *span, "25s")) for p in panels()]
    ray.shutdown()
    _draw(shown, out)


def _load(url: str, key: str, second: str) -> None:
    for part, callers in enumerate(CALLERS):
        with steady_load(url, key, f"part{part}", callers), Client(url, key) as client, _strays(client):
            if part == len(CALLERS) // 2:
                client.roll_out(live=second)
            time.sleep(PART_S)


@contextmanager
def _strays(client: Client) -> Iterator[None]:
    """Now and then somebody tells of an item that the model does not know."""
    stop = threading.Event()

    def tell() -> None:
        while not stop.wait(0.5):
            client.recommend(events=[{"item_id": "nope"}, {"item_id": "103", "value": 4}])

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def _draw(shown: list[tuple[str, str, list[tuple[str, Series]]]], out: Path) -> None:
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 8, "axes.titlesize": 9, "axes.spines.top": False})
    rows = -(-len(shown) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(10, 1.75 * rows), layout="constrained")
    for (title, unit, lines), place in zip(shown, axes.flat, strict=True):
        _panel(place, title, unit, lines)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80, pil_kwargs={"optimize": True})


def _panel(place: Axes, title: str, unit: str, lines: list[tuple[str, Series]]) -> None:
    for name, series in lines:
        moments = [datetime.fromtimestamp(at, UTC) for at, _ in series.points]
        place.plot(moments, [value for _, value in series.points], label=name, linewidth=1.2)
    place.set_title(title, loc="left")
    place.set_ylim(bottom=0, top=None if place.get_ylim()[1] > 0 else 1)
    place.spines["right"].set_visible(False)
    place.grid(alpha=0.25)
    place.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))
    place.xaxis.set_major_locator(SecondLocator(bysecond=(0, 30)))
    if unit in FORMATS:
        place.yaxis.set_major_formatter(FORMATS[unit])
    place.legend(loc="upper left", bbox_to_anchor=(1, 1.05), frameon=False, fontsize=7)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
