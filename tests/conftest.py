"""What all tests share: one local Ray cluster, one small data set and artifact; benchmarks on request."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small import SMALL

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT", "1")  # what cannot start is given up at once

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job; children would, too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-benchmarks", action="store_true", help="also run what is marked benchmark")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Benchmarks only on request; what is long first, what needs the shared cluster last."""
    if not config.getoption("--run-benchmarks"):
        skip = pytest.mark.skip(reason="a benchmark: make bench")
        for item in items:
            if item.get_closest_marker("benchmark"):
                item.add_marker(skip)
    if any(item.get_closest_marker("gpu") for item in items):
        import torch

        if not torch.cuda.is_available():
            skip = pytest.mark.skip(reason="no GPU")
            for item in items:
                if item.get_closest_marker("gpu"):
                    item.add_marker(skip)
    items.sort(key=lambda item: (not item.get_closest_marker("long"), bool(item.get_closest_marker("ray"))))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local cluster of two CPUs for all tests that need Ray; a node that goes is missed in a second."""
    import ray

    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        _system_config={"health_check_period_ms": 200},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, or a skip."""
    folder = Path(os.environ.get("FIRSTCLICK_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set FIRSTCLICK_DATA")
    return folder


@pytest.fixture(scope="session")
def checkerboard_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set whose answer is known: two kinds of users, two kinds of items."""
    from engine.data.sources.checkerboard import checkerboard
    from jobs.prepare import prepare

    folder = tmp_path_factory.mktemp("checkerboard") / "data"
    tables = checkerboard()
    prepare(interactions=tables.interactions, items=tables.items, users=tables.users, out=folder)
    return folder


@pytest.fixture(scope="session")
def checkerboard_artifact(checkerboard_data: Path) -> Path:
    """The artifact trained on it, in this process."""
    from engine.config import load_config
    from jobs.pretrain import pretrain

    folder = checkerboard_data.parent
    pretrain(checkerboard_data, folder / "artifact", load_config(None, SMALL), folder / "runs")
    return folder / "artifact"
