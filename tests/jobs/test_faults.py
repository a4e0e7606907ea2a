"""What dies, and what is left of the run: workers, nodes, the driver; errors and interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import ray
from ray._raylet import GcsClient
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

from jobs.pretrain import pretrain
from jobs.training.stream import position
from tests.jobs.test_pretrain import TINY, assert_close, config
from tests.processes import descendants, left_of, titled

PROJECT = Path(__file__).parents[2]
WORKER = "RayTrainWorker"
PASSES = 10
SLOWLY = (f"outer.passes={PASSES}", f"outer.patience={PASSES}", "outer.users_per_step=8")
"""Options of passes long enough to be hit in the middle."""
OFTEN = ("train.checkpoint_steps=8",)
LONG_PASSES = 60
LONG = (
    *(f"outer.{name}={LONG_PASSES}" for name in ("passes", "patience")),
    *(f"train.checkpoint_{name}=100000" for name in ("steps", "every")),
    "outer.users_per_step=8",
)
"""Options of some ten seconds without a checkpoint."""


@pytest.fixture(scope="module")
def undisturbed(checkerboard_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    pretrain(checkerboard_data, folder / "artifact", config(*SLOWLY), folder / "runs")
    return folder / "artifact"


@contextmanager
def pretraining(
    data: Path, folder: Path, options: Sequence[str] = (*SLOWLY, *OFTEN)
) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, on the cluster of this one."""
    sets = [word for option in (*TINY, *options) for word in ("--set", option)]
    places = ["--data", data, "--out", folder / "a", "--storage", folder / "runs", "--run", "r"]
    command = [sys.executable, "-m", "jobs.pretrain", *map(str, places), "--workers", "1", *sets]
    soon = {"RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.2"}  # in place of 5 until a notice is seen
    env = {**os.environ, **soon, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    with (folder / "log").open("w") as errors:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=PROJECT, env=env, stdout=pipe, stderr=errors, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def another_node() -> Iterator[subprocess.Popen[bytes]]:
    """One more node, of one CPU, as a cluster starts it; its power fails at the end.

    In a folder of its own, where it leaves the cluster's address: else Ray would find it there ever after.
    """
    command = [Path(sys.executable).with_name("ray"), "start", "--block", "--disable-usage-stats"]
    address = ["--address", ray.get_runtime_context().gcs_address]
    sizes = ["--num-cpus", "1", "--object-store-memory", "100000000", "--dashboard-agent-listen-port", "0"]
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        command += [*address, *sizes, "--temp-dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as node:
            try:
                yield node
            finally:
                cut_power(node)


def cut_power(node: subprocess.Popen[bytes]) -> None:
    for pid in descendants(node.pid) | {node.pid}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until_pass(process: subprocess.Popen[str], number: int, folder: Path) -> list[int]:
    """The passes that it tells of, up to this one."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        if line.startswith("pass "):
            seen.append(int(line.split()[1].split("/")[0]))
        if seen and seen[-1] == number:
            return seen
    raise AssertionError(f"it ended before pass {number}: {(folder / 'log').read_text()[-3000:]}")


def passes_kept(folder: Path) -> int:
    """Passes done at the last checkpoint."""
    return position(str(folder / "runs" / "r"))[0]


def workers() -> set[int]:
    return titled(WORKER, descendants(os.getpid()))


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.2)
    return true()


def nodes() -> int:
    return sum(node["Alive"] for node in ray.nodes())


def all_is_free() -> bool:
    groups = {group["state"] for group in placement_group_table().values()}
    return groups <= {"REMOVED"} and ray.available_resources().get("CPU") == 2


@pytest.mark.ray
def test_a_run_outlives_its_worker_its_node_and_its_driver(
    ray_cluster: None,
    checkerboard_data: Path,
    undisturbed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SIGKILL of the worker, of all that runs on its node, and of the driver, each in the midst of a pass.

    Worker and node are replaced, the same command goes on, and the end is that of an undisturbed run.
    """
    taken = placement_group([{"CPU": 2}])  # so that the worker starts on the other node
    assert taken.wait(30)
    with another_node() as node, pretraining(checkerboard_data, tmp_path) as driver:
        until_pass(driver, 2, tmp_path)
        (first,) = workers()
        assert first in descendants(node.pid)
        kept = min(passes_kept(tmp_path), 2)  # later passes may be told of already
        os.kill(first, signal.SIGKILL)
        assert min(until_pass(driver, 4, tmp_path)) > kept, "none again that is in a checkpoint"
        (second,) = workers()
        assert second in descendants(node.pid) - {first}
        remove_placement_group(taken)
        kept = min(passes_kept(tmp_path), 4)  # later passes may be told of already
        cut_power(node)
        assert min(until_pass(driver, 6, tmp_path)) > kept, "none again that is in a checkpoint"
        assert nodes() == 1
        (third,) = workers()
        driver.send_signal(signal.SIGKILL)
    assert not (tmp_path / "a").exists()
    assert not left_of({first, second, third}, 60)
    assert within(60, all_is_free)
    kept = passes_kept(tmp_path)
    assert 1 <= kept < PASSES
    capsys.readouterr()
    options = config(*SLOWLY, *OFTEN, "train.workers=1")
    pretrain(checkerboard_data, tmp_path / "a", options, tmp_path / "runs", "r")
    said = capsys.readouterr().out
    passes = range(1, PASSES + 1)
    assert [f"pass {number}/" in said for number in passes] == [number > kept for number in passes], (
        "none but what is left"
    )
    assert_close(tmp_path / "a", undisturbed, 0.0)
    # Of thirty checkpoints: two, one being deleted, and those that kills left unregistered.
    assert len(list((tmp_path / "runs" / "r").glob("checkpoint_2*"))) <= 15
    assert not left_of(workers())
    assert within(60, all_is_free)


@pytest.mark.benchmark
@pytest.mark.ray
def test_a_node_that_goes_with_notice_takes_little_along(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    """As a cloud takes back a machine: a notice with a deadline, and at the deadline no more power.

    No checkpoint is due, so what the run goes on from is the one that the notice brings.
    """
    pretrain(checkerboard_data, tmp_path / "undisturbed", config(*LONG), tmp_path / "plain")
    taken = placement_group([{"CPU": 2}])  # so that the worker starts on the other node
    assert taken.wait(30)
    with another_node() as node, pretraining(checkerboard_data, tmp_path, LONG) as driver:
        until_pass(driver, 2, tmp_path)
        assert passes_kept(tmp_path) == 0
        (first,) = workers()
        give_notice(the_other_node(), 5)
        assert within(5, lambda: passes_kept(tmp_path) > 0)
        kept = passes_kept(tmp_path)
        remove_placement_group(taken)
        assert not left_of({first}, 30), "it is stopped at the deadline"
        cut_power(node)
        told = until_pass(driver, LONG_PASSES, tmp_path)
        assert driver.wait(60) == 0
    again = [number for number, before in zip(told[1:], told[:-1], strict=True) if number <= before]
    assert again == [kept + 1], "it goes on from where the notice came, not from the start"
    assert_close(tmp_path / "a", tmp_path / "undisturbed", 0.0)


def the_other_node() -> str:
    here = ray.get_runtime_context().get_node_id()
    (other,) = (node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] != here)
    return str(other)


def give_notice(node_id: str, seconds: int) -> None:
    """What autoscalers send before a machine is taken away."""
    client = GcsClient(address=ray.get_runtime_context().gcs_address)
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    accepted, why_not = client.drain_node(node_id, reason, "test", int(1000 * (time.time() + seconds)))
    assert accepted, why_not


@pytest.mark.benchmark
@pytest.mark.ray
def test_an_interrupted_driver_leaves_nobody(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    with pretraining(checkerboard_data, tmp_path) as driver:
        until_pass(driver, 1, tmp_path)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(60) == 130
    assert not left_of(workers(), 60)
    assert within(60, all_is_free)
