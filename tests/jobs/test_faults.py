"""What dies, and what is left of the run: workers, nodes, the driver; errors and interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray.util.placement_group import placement_group_table

from jobs.pretrain import pretrain
from jobs.training.stream import position
from tests.jobs.test_pretrain import TINY, assert_close, config
from tests.processes import descendants, left_of, titled

PROJECT = Path(__file__).parents[2]
WORKER = "RayTrainWorker"
SLOWLY = ("outer.passes=8", "outer.users_per_step=8", "train.checkpoint_steps=2")
"""Options of passes long enough to be hit in the middle."""


@pytest.fixture(scope="module")
def undisturbed(checkerboard_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    pretrain(checkerboard_data, folder / "artifact", config(*SLOWLY), folder / "runs")
    return folder / "artifact"


@contextmanager
def pretraining(data: Path, folder: Path, log: Path) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, on the cluster of this one."""
    sets = [word for option in (*TINY, *SLOWLY) for word in ("--set", option)]
    places = ["--data", data, "--out", folder / "a", "--storage", folder / "runs", "--run", "r"]
    command = [sys.executable, "-m", "jobs.pretrain", *map(str, places), "--workers", "1", *sets]
    env = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    with log.open("w") as errors:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=PROJECT, env=env, stdout=pipe, stderr=errors, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def until_pass(process: subprocess.Popen[str], number: int, log: Path) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"pass {number}/"):
            return
    raise AssertionError(f"it ended before pass {number}: {log.read_text()[-3000:]}")


def workers() -> set[int]:
    return titled(WORKER, descendants(os.getpid()))


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.2)
    return true()


def all_is_free() -> bool:
    groups = {group["state"] for group in placement_group_table().values()}
    return groups <= {"REMOVED"} and ray.available_resources().get("CPU") == 2


@pytest.mark.ray
def test_a_killed_worker_is_replaced_and_after_a_killed_driver_the_same_command_goes_on(
    ray_cluster: None,
    checkerboard_data: Path,
    undisturbed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SIGKILL of the worker after the second pass, of the driver after the fourth; the end is the same."""
    with pretraining(checkerboard_data, tmp_path, tmp_path / "log") as driver:
        until_pass(driver, 2, tmp_path / "log")
        (first,) = workers()
        os.kill(first, signal.SIGKILL)
        until_pass(driver, 4, tmp_path / "log")
        (second,) = workers()
        assert second != first
        driver.send_signal(signal.SIGKILL)
    assert not (tmp_path / "a").exists()
    assert not left_of({second}, 60)
    assert within(60, all_is_free)
    done, _ = position(str(tmp_path / "runs" / "r"))
    assert 1 <= done < 8
    capsys.readouterr()
    pretrain(checkerboard_data, tmp_path / "a", config(*SLOWLY, "train.workers=1"), tmp_path / "runs", "r")
    said = capsys.readouterr().out
    passes = [f"pass {number}/8" for number in range(1, 9)]
    assert [told in said for told in passes] == [number > done for number in range(1, 9)], (
        "none but what is left"
    )
    assert_close(tmp_path / "a", undisturbed, 0.0)
    kept = list((tmp_path / "runs" / "r").glob("checkpoint_2*"))
    assert len(kept) <= 6  # of a hundred: two, one being deleted, and those that kills left unregistered
    assert not left_of(workers())
    assert within(60, all_is_free)


@pytest.mark.benchmark
@pytest.mark.ray
def test_an_interrupted_driver_leaves_nobody(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    with pretraining(checkerboard_data, tmp_path, tmp_path / "log") as driver:
        until_pass(driver, 1, tmp_path / "log")
        driver.send_signal(signal.SIGINT)
        assert driver.wait(60) == 130
    assert not left_of(workers(), 60)
    assert within(60, all_is_free)


@pytest.mark.benchmark
@pytest.mark.ray
def test_a_node_that_goes_takes_nothing_with_it(
    checkerboard_data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.jobs.lose_a_node",
        checkerboard_data,
        tmp_path / "a",
        tmp_path / "runs",
    ]
    done = subprocess.run(
        list(map(str, command)), cwd=PROJECT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "placement groups ['REMOVED']" in done.stdout
    assert_close(tmp_path / "a", undisturbed, 0.0)
