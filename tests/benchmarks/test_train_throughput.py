"""What Ray Train costs: the same passes without it, with one worker and with two; and a report.

Two workers are to do 1.6 times the work of one, where two cores are free: how much room there is shows in two
processes without Ray, which know nothing of one another and run the same passes at once. In large steps, as
many workers are for: what a step does with the catalogue, some 12 ms here, each worker does by itself, and
Ray's own dozen processes take a fifth of a core besides.
The long form of the kill tests: a worker killed again and again.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import pytest
import ray.train
from ray.train import Checkpoint, CheckpointUploadMode, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.sources.checkerboard import checkerboard
from engine.learning.experiment import Experiment, set_up
from engine.learning.setup import build_model, build_training
from engine.learning.training import PassReport
from jobs.prepare import prepare
from jobs.pretrain import pretrain
from jobs.training.distributed import train_distributed
from tests.jobs.test_pretrain import assert_close, config
from tests.processes import descendants, titled

pytestmark = [pytest.mark.benchmark, pytest.mark.ray, pytest.mark.timeout(3600)]
OPTIONS = ["items.dim=64", "outer.passes=6", "outer.patience=99", "outer.users_per_step=2048"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "data"
    tables = checkerboard(n_users=16000, n_items=4000, events_per_user=40)
    prepare(interactions=tables.interactions, items=tables.items, users=tables.users, out=folder)
    return folder


def experiment(data: Path, workers: int) -> Experiment:
    return set_up(Dataset.load(data), load_config(None, [*OPTIONS, f"train.workers={workers}"]))


def seconds(reports: list[PassReport]) -> float:
    """Of the fastest pass but the first two: start-up is not throughput, nor is what others do meanwhile."""
    return min(report.seconds for report in reports[2:])


def without_ray(data: Path) -> float:
    told = experiment(data, 0)
    return seconds(list(build_training(told, build_model(told)).run()))


def two_at_once(data: Path) -> float:
    """Seconds of a pass while another process does the same."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return max(pool.map(without_ray, [data, data]))


def test_passes_with_and_without_ray(ray_cluster: None, data: Path, tmp_path: Path) -> None:
    before = os.getloadavg()[0]
    plain = without_ray(data)
    room = 2 * plain / two_at_once(data)
    by_workers = {}
    for workers in (1, 2):
        told = experiment(data, workers)
        reports = train_distributed(told, data, None, tmp_path / "runs", f"r{workers}")
        by_workers[workers] = seconds(list(reports))
        print(f"\n{workers} at work: a pass takes {by_workers[workers]:.2f} s, without Ray {plain:.2f} s")
    alone, speed_up = plain / by_workers[1], by_workers[1] / by_workers[2]
    print(f"\nload before {before:.1f} on {os.cpu_count()} cores; a pass without Ray {plain:.2f} s")
    print(f"two processes without Ray do {room:.2f} times the work of one")
    print(f"one worker {alone:.2f} times as fast, two workers {speed_up:.2f} times as fast as one")
    assert alone >= 0.85
    assert speed_up >= 1.6


def report_often(args: dict[str, str]) -> float:
    """Median seconds of a report with a checkpoint of a megabyte."""
    taken = []
    for _ in range(20):
        folder = Path(args["folder"]) / str(time.time_ns())
        folder.mkdir()
        (folder / "state").write_bytes(bytes(2**20))
        started = time.perf_counter()
        checkpoint = Checkpoint.from_directory(folder)
        ray.train.report({"a": 1}, checkpoint, checkpoint_upload_mode=CheckpointUploadMode.ASYNC)
        taken.append(time.perf_counter() - started)
        time.sleep(0.3)
    return median(taken)


def test_a_report_costs_little(ray_cluster: None, tmp_path: Path) -> None:
    trainer = TorchTrainer(
        report_often,
        train_loop_config={"folder": str(tmp_path)},
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(name="reports", storage_path=str(tmp_path / "runs")),
    )
    taken = trainer.fit().return_value
    print(f"\na report takes {1000 * taken:.1f} ms; load {os.getloadavg()[0]:.1f}")
    assert taken < 0.05


def test_a_worker_killed_three_times(ray_cluster: None, checkerboard_data: Path, tmp_path: Path) -> None:
    options = ("train.workers=1", "train.checkpoint_steps=1", "outer.passes=8")
    pretrain(checkerboard_data, tmp_path / "undisturbed", config("outer.passes=8"), tmp_path / "plain")
    told = set_up(Dataset.load(checkerboard_data), config(*options))
    killed: set[int] = set()
    for report in train_distributed(told, checkerboard_data, tmp_path / "a", tmp_path / "runs", "r"):
        if report.passes_done in (2, 4, 6) and len(killed) < report.passes_done // 2:
            for pid in titled("RayTrainWorker", descendants(os.getpid())):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    assert len(killed) == 3
    assert_close(tmp_path / "a", tmp_path / "undisturbed", 0.0)
