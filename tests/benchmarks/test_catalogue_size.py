"""What a step of the outer loop costs, and what a worker holds, by the size of the catalogue.

    pytest --run-benchmarks -s tests/benchmarks/test_catalogue_size.py

Each size is trained in a process of its own, for its peak memory. The users are 20,000 with 30 events each,
of `engine.data.sources.world`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

SIZES = (10_000, 100_000, 1_000_000)
USERS, STEPS, WARM_UP = 20_000, 60, 10
ALL, SAMPLED = "items.full_softmax_max=10000000", "items.full_softmax_max=0"
MOST_FULL = 100_000


def measure(data: Path, *options: str) -> dict[str, float]:
    """Milliseconds of a step, seconds of the start and peak memory, with the default options but these."""
    from engine.config import load_config
    from engine.data.dataset import Dataset
    from engine.learning.experiment import set_up
    from engine.learning.setup import build_model, build_training

    experiment = set_up(Dataset.load(data), load_config(None, options))
    started = time.perf_counter()
    training = build_training(experiment, build_model(experiment))
    start_s = time.perf_counter() - started
    taken = []
    for batch in islice(training.batches.steps(0, 0), STEPS):
        started = time.perf_counter()
        training._step(batch)
        taken.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"step_ms": 1000 * float(np.median(taken[WARM_UP:])), "start_s": start_s, "peak_gib": peak}


def prepared(n_items: int, folder: Path) -> None:
    from engine.data.sources.world import World
    from jobs.prepare import prepare

    World(USERS, n_items).write(folder / "raw")
    files = {f"{role}s": folder / "raw" / f"{role}s.parquet" for role in ("item", "user")}
    prepare(interactions=folder / "raw" / "events-*.parquet", out=folder / "data", **files)


def in_a_process(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


@pytest.mark.benchmark
def test_cost_of_a_step_by_catalogue(tmp_path: Path) -> None:
    sampled, full = {}, {}
    for n_items in SIZES:
        folder = tmp_path / str(n_items)
        in_a_process("prepare", str(n_items), str(folder))
        sampled[n_items] = in_a_process("train", str(folder / "data"), SAMPLED)
        if n_items <= MOST_FULL:
            full[n_items] = in_a_process("train", str(folder / "data"), ALL)
    print("\n| items | softmax | a step, ms | the start, s | peak memory, GiB |\n|---:|---|---:|---:|---:|")
    for n_items in SIZES:
        for name, of in (("all items", full), ("sampled", sampled)):
            if n_items in of:
                step_ms, start_s, peak_gib = of[n_items].values()
                print(f"| {n_items:,} | {name} | {step_ms:.0f} | {start_s:.0f} | {peak_gib:.2f} |")
    assert sampled[1_000_000]["step_ms"] < 3 * sampled[100_000]["step_ms"]  # 10 if it were linear
    assert sampled[100_000]["step_ms"] < full[100_000]["step_ms"]
    assert sampled[1_000_000]["peak_gib"] < 4


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    if task == "prepare":
        prepared(int(rest[0]), Path(rest[1]))
        print("{}")
    else:
        print(json.dumps(measure(Path(rest[0]), *rest[1:])))
