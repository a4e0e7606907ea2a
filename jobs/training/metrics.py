"""What a run measures, where people look for it: TensorBoard's files, and Ray's metrics for Prometheus.

Knows nothing of training but its reports.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.training.storage import Folder

if TYPE_CHECKING:  # brings torch, which only training needs
    from engine.learning.training import PassReport

MEASURED = {
    "loss": "Loss per query pair of the last pass.",
    "quality": "Quality on validation users after the last pass; higher is better.",
    "best_quality": "The best quality so far.",
    "seconds": "Seconds of the last pass.",
}


def recorded(reports: Iterable[PassReport], folder: Folder, run: str) -> Iterator[PassReport]:
    """Write down each report on its way: to ``folder`` for TensorBoard, and to Ray where it is running."""
    from tensorboardX import SummaryWriter  # comes with Ray; takes a moment

    with tempfile.TemporaryDirectory(prefix="firstclick-") as scratch:
        place = folder.local or Path(scratch)
        with SummaryWriter(str(place)) as writer:
            for report in reports:
                for name in MEASURED:
                    writer.add_scalar(f"train/{name}", getattr(report, name), report.passes_done)
                writer.flush()
                _upload(place, folder)
                to_ray(report, run)
                yield report
        _upload(place, folder)


def _upload(place: Path, folder: Folder) -> None:
    if folder.local is None:
        folder.upload(place)


_gauges: dict[str, Any] = {}


def to_ray(report: PassReport, run: str) -> None:
    """Set the gauges ``ray_firstclick_train_...`` of this run, if this process is connected to Ray."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return
    from ray.util.metrics import Gauge

    for name, what in MEASURED.items():
        if name not in _gauges:
            _gauges[name] = Gauge(f"firstclick_train_{name}", description=what, tag_keys=("run",))
        _gauges[name].set(float(getattr(report, name)), tags={"run": run})
