"""What a step of the outer loop costs, and what a worker holds, by the size of the catalogue; a whole pass.

    pytest --run-benchmarks -s tests/benchmarks/test_catalogue_size.py

The worlds are those of `engine.data.sources.world`, with 30 events a user. For the cost of a step each size
is trained in a process of its own, on 5,000 users, by steps of 64 and of 256; the whole pass is
`firstclick pretrain` under Ray Train on a million items and 200,000 users, whose workers' peak memory is read
while it runs (Linux).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.learning.batches import InMemory
from tests.processes import descendants, titled

if TYPE_CHECKING:
    from engine.learning.training import Training

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
PROJECT = Path(__file__).parents[2]
SIZES = (10_000, 100_000, 1_000_000)
USERS, STEPS, WARM_UP = 5_000, 12, 3
PER_STEP = (64, 256)
ALL, SAMPLED = "items.full_softmax_max=10000000", "items.full_softmax_max=0"
MOST_FULL = 100_000
ITEMS, CROWD = 1_000_000, 200_000
"""Of the whole pass; so many users."""
PASS = ("outer.passes=1", "evaluation.test_share=0", "outer.users_per_step=256")
MOST_GIB = 4.0


def measure(data: Path, *options: str) -> dict[str, float]:
    """Milliseconds of a step by its users, seconds of the start, peak memory; default options but these."""
    from engine.config import load_config
    from engine.data.dataset import Dataset
    from engine.learning.experiment import set_up
    from engine.learning.setup import build_model, build_training

    experiment = set_up(Dataset.load(data), load_config(None, options))
    started = time.perf_counter()
    training = build_training(experiment, build_model(experiment))
    start_s = time.perf_counter() - started
    step_ms = {f"step_ms_{users}": median_ms(training, users) for users in PER_STEP}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**step_ms, "start_s": start_s, "peak_gib": peak}


def median_ms(training: Training, users: int) -> float:
    """Of steps of so many users."""
    assert isinstance(training.batches, InMemory)
    taken = []
    for batch in islice(replace(training.batches, users_per_step=users).steps(0, 0), STEPS):
        started = time.perf_counter()
        training._step(batch)
        taken.append(time.perf_counter() - started)
    return 1000 * float(np.median(taken[WARM_UP:]))


def prepared(n_users: int, n_items: int, folder: Path) -> None:
    from engine.data.sources.world import World
    from jobs.prepare import prepare

    World(n_users, n_items).write(folder / "raw")
    files = {f"{role}s": folder / "raw" / f"{role}s.parquet" for role in ("item", "user")}
    prepare(interactions=folder / "raw" / "events-*.parquet", out=folder / "data", **files)


def in_a_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.test_catalogue_size", *arguments]
    done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def workers_peaks(command: list[str]) -> dict[int, float]:
    """Run it; the peak memory of each worker of Ray Train below it, GiB by process."""
    peaks: dict[int, float] = {}
    environment = {**os.environ, "RAY_ADDRESS": "local"}
    with subprocess.Popen([sys.executable, *command], cwd=PROJECT, env=environment) as process:
        while process.poll() is None:
            for pid in titled("RayTrainWorker", descendants(process.pid)):
                with suppress(OSError, IndexError):  # it has just ended
                    status = Path(f"/proc/{pid}/status").read_text()
                    peaks[pid] = int(status.split("VmHWM:")[1].split()[0]) / 2**20
            time.sleep(0.2)
    assert process.returncode == 0
    return peaks


@pytest.fixture(scope="module")
def large_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    started = time.perf_counter()
    in_a_process("prepare", str(CROWD), str(ITEMS), str(folder))
    print(f"\nmade and prepared in {time.perf_counter() - started:.0f} s")
    return folder / "data"


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 2])
def test_a_whole_pass_fits_workers_of_four_gib(large_data: Path, tmp_path: Path, workers: int) -> None:
    sets = [word for option in PASS for word in ("--set", option)]
    places = ["--data", large_data, "--out", tmp_path / "a", "--storage", tmp_path / "runs"]
    started = time.perf_counter()
    peaks = workers_peaks(["-m", "jobs.pretrain", *map(str, places), "--workers", str(workers), *sets])
    told = ", ".join(f"{peak:.2f}" for peak in peaks.values())
    print(f"{workers} workers: {time.perf_counter() - started:.0f} s in all; they held {told} GiB")
    assert len(peaks) == workers
    assert max(peaks.values()) < MOST_GIB


def test_cost_of_a_step_by_catalogue(tmp_path: Path) -> None:
    sampled, full = {}, {}
    for n_items in SIZES:
        folder = tmp_path / str(n_items)
        in_a_process("prepare", str(USERS), str(n_items), str(folder))
        sampled[n_items] = in_a_process("train", str(folder / "data"), SAMPLED)
        if n_items <= MOST_FULL:
            full[n_items] = in_a_process("train", str(folder / "data"), ALL)
    print("\n| items | softmax | a step of 64 users, ms | of 256 | the start, s | peak memory, GiB |")
    print("|---:|---|---:|---:|---:|---:|")
    for n_items in SIZES:
        for name, of in (("all items", full), ("sampled", sampled)):
            if n_items in of:
                few, many, start_s, peak_gib = of[n_items].values()
                print(f"| {n_items:,} | {name} | {few:.0f} | {many:.0f} | {start_s:.0f} | {peak_gib:.2f} |")
                assert many < 1.1 * few * PER_STEP[1] / PER_STEP[0], "at most linear in the users of a step"
    assert sampled[1_000_000]["step_ms_64"] < 3 * sampled[100_000]["step_ms_64"]  # 10 if it were linear
    assert sampled[100_000]["step_ms_64"] < full[100_000]["step_ms_64"]
    assert sampled[1_000_000]["peak_gib"] < MOST_GIB


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    if task == "prepare":
        prepared(int(rest[0]), int(rest[1]), Path(rest[2]))
        print("{}")
    else:
        print(json.dumps(measure(Path(rest[0]), *rest[1:])))
