"""A sweep of 20 trials on MovieLens-100k, its driver killed half-way and resumed by the same command.

pytest --run-benchmarks -s tests/benchmarks/test_sweep.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import Recommender
from engine.artifact import read_manifest
from engine.config import load_config
from jobs.pretrain import pretrain

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]

ROOT = Path(__file__).parents[2]
SEARCH = ROOT / "tune_configs" / "search" / "closed_form.toml"
MOST_MINUTES = 10


def start(arguments: Sequence[object]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jobs.tune", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ}, stdout=subprocess.PIPE, text=True)


def ended(driver: subprocess.Popen[str], trials: int) -> int:
    """Echo the driver's lines until so many trials have ended; returns how many have."""
    assert driver.stdout is not None
    seen = 0
    for line in driver.stdout:
        print(line, end="", flush=True)
        seen += " passes, " in line
        if seen == trials:
            break
    return seen


def test_twenty_trials_survive_their_driver_and_beat_the_default(movielens: Path, tmp_path: Path) -> None:
    arguments = ["--data", movielens, "--search", SEARCH, "--out", tmp_path / "sweep"]
    began, load = time.monotonic(), os.getloadavg()[0]
    driver = start(arguments)
    assert ended(driver, 10) == 10
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    print(f"killed after {time.monotonic() - began:.0f} s")
    driver = start([*arguments, "--resume"])
    left = ended(driver, 20)
    driver.communicate()
    assert driver.returncode == 0
    minutes = (time.monotonic() - began) / 60
    assert left <= 12, "what was finished is not done again, but for the last second"
    print(f"{minutes:.1f} minutes; load of the machine before {load:.1f}, after {os.getloadavg()[0]:.1f}")

    default = pretrain(movielens, tmp_path / "default", load_config(), tmp_path / "runs")
    found = read_manifest(tmp_path / "sweep" / "artifact")
    values = [manifest["quality"]["validation"]["value"] for manifest in (default, found)]
    print("nDCG@10 of validation users: default {:.4f}, found {:.4f}".format(*values))
    print("test users:", default["quality"]["test"], found["quality"]["test"])
    print((tmp_path / "sweep" / "best.toml").read_text())
    assert values[1] >= values[0]
    assert (
        len(Recommender.load(tmp_path / "sweep" / "artifact").recommend([{"item_id": "50", "value": 5}]))
        == 10
    )
    assert minutes < MOST_MINUTES
