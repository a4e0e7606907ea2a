"""A real Prometheus for tests: reads one page of this machine every second and answers queries.

Knows nothing of what the page holds.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

CONFIG = """
scrape_configs:
  - job_name: page
    scrape_interval: 1s
    metrics_path: /metrics
    authorization: {{credentials: {key}}}
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(frozen=True)
class Series:
    """One line of a chart: its labels, and what it was at which second."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


@contextmanager
def prometheus(folder: Path, target: str, key: str) -> Iterator[Prometheus]:
    """Prometheus on a free port of 127.0.0.1, reading ``http://TARGET/metrics`` while the block runs."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: make prometheus, as root on Debian, installs it")
    port = free_port()
    config = folder / "prometheus.yaml"
    config.write_text(CONFIG.format(key=key, target=target))
    process = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
            _wait_for(http, process)
            yield Prometheus(http)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, "prometheus ended"
        assert time.monotonic() < deadline, "prometheus does not answer"
        try:
            if http.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)


@dataclass(frozen=True)
class Prometheus:
    http: httpx.Client

    def lines(self, query: str, start: float, end: float, step_s: float = 1.0) -> list[Series]:
        """What a chart of ``query`` shows from ``start`` to ``end`` (Unix seconds); cells without a number
        are left out."""
        span = {"query": query, "start": start, "end": end, "step": step_s}
        answer = self.http.post("/api/v1/query_range", data=span)
        assert answer.is_success, f"{query}: {answer.text}"
        return [
            Series(line["metric"], [(float(at), float(v)) for at, v in line["values"] if v != "NaN"])
            for line in answer.json()["data"]["result"]
        ]
