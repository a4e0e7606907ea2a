"""Sweeps on the checkerboard: shared counts, the winner's artifact, stopped trials, clones, a killed driver.

Searches over few passes: what is asserted is never how good a model is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.util import placement_group_table

from engine import ConfigError, DataError, Recommender
from engine.artifact import load_artifact, read_manifest
from engine.config import Config, load_config
from engine.data.dataset import Dataset
from engine.learning.experiment import set_up
from engine.learning.setup import build_model, count, counted_by
from jobs import tune
from jobs.pretrain import pretrain
from jobs.search_space import Search, read_search
from jobs.sweep.trial import Counts
from jobs.tune import sweep
from tests.small import SMALL

FEW = ("outer.passes=2", "train.checkpoint_every=1")


def config(*overrides: str) -> Config:
    return load_config(None, [*SMALL, *FEW, *overrides])


def search(space: dict[str, Any], **options: Any) -> Search:
    return Search.model_validate({"about": "A test.", "search": space, **options})


RATES = {
    "outer.outer_lr": {"type": "float", "min": 1e-3, "max": 1e-2, "scale": "log"},
    "outer.scalar_lr": {"type": "float", "min": 1e-3, "max": 3e-2, "scale": "log"},
}


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def test_what_a_start_does_not_depend_on_is_told_apart(checkerboard_data: Path) -> None:
    dataset = Dataset.load(checkerboard_data)
    odd = config(
        "inner.method=gradient", "inner.prior_precision=3", "outer.user_dropout=.5", "items.dropout=.1"
    )
    plain = counted_by(odd)
    assert plain == counted_by(config())
    assert plain != counted_by(config("items.dim=4"))
    assert plain != counted_by(config("seed=3"))
    assert plain != counted_by(config("outer.validation_share=.2"))
    theirs = build_model(set_up(dataset, odd), count(set_up(dataset, plain))).state_dict()
    ours = build_model(set_up(dataset, odd)).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in {**ours, **theirs})


def test_what_is_wrong_is_said_before_any_trial_starts(checkerboard_data: Path, tmp_path: Path) -> None:
    bad = search({"items.dim": {"type": "int", "min": 0, "max": 4}})
    with pytest.raises(ConfigError, match=r"items\.dim = 0"):
        sweep(checkerboard_data, bad, tmp_path / "s", config())
    with pytest.raises(ConfigError, match="no trial can go on from another"):
        sweep(checkerboard_data, search(RATES, scheduler="pbt"), tmp_path / "s", config("train.workers=1"))
    with pytest.raises(DataError):
        sweep(tmp_path, search(RATES), tmp_path / "s", config())
    assert not (tmp_path / "s").exists()


def test_who_stops_it_before_the_first_trial_learns_how_to_go_on(
    checkerboard_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "attach", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(checkerboard_data, search(RATES), tmp_path / "s", config())
    assert "stopped; the same command with --resume goes on" in capsys.readouterr().out


@pytest.mark.ray
def test_what_starts_alike_is_counted_once(ray_cluster: None, checkerboard_data: Path) -> None:
    counts = ray.remote(num_cpus=0)(Counts).remote(Dataset.load(checkerboard_data))
    asked = [config(), config("outer.outer_lr=.1"), config("items.dim=4")]
    (one,), (same,), (other,) = ray.get([counts.of.remote(c) for c in asked])
    assert one == same != other
    assert ray.get(one).items.spectral_ND.shape[1] == 8
    assert ray.get(other).items.spectral_ND.shape[1] == 4
    ray.kill(counts)


@pytest.mark.ray
def test_the_best_trial_is_what_pretrain_makes_of_its_options(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {**RATES, "outer.posterior_dropout": {"choices": [0.1, 0.2]}, "items.dim": {"choices": [4, 8]}}
    asked = search({**space, "outer.weight_decay": {"choices": [0.01, 0.02]}}, trials=3, searcher="tpe")
    base, out = config("outer.scalar_lr=1e-2"), tmp_path / "s"
    rows = sweep(checkerboard_data, asked, out, base)
    assert [row.state for row in rows] == ["done"] * 3
    assert rows[0].quality == max(row.quality for row in rows)
    assert asked.start(base) in [row.options for row in rows]
    best = load_config(out / "best.toml")
    assert best == asked.config(base, rows[0].options).model_copy(update={"train": best.train})

    pretrain(checkerboard_data, tmp_path / "a", best, tmp_path / "runs")
    ours, theirs = (load_artifact(folder).model.state_dict() for folder in (tmp_path / "a", out / "artifact"))
    assert all(torch.equal(ours[name], theirs[name]) for name in {**ours, **theirs})
    assert read_manifest(out / "artifact")["quality"]["validation"]["value"] == rows[0].quality
    assert len(Recommender.load(out / "artifact").recommend([{"item_id": "i2", "value": 5}], k=3).items) == 3
    assert {"trials.csv", "parallel.png", "plane.png"} <= {path.name for path in out.iterdir()}

    told = capsys.readouterr().out
    assert "2/3 trials: done after 2 passes, nDCG@10" in told
    with pytest.raises(ConfigError, match="holds a sweep"):
        sweep(checkerboard_data, asked, out, base)
    with pytest.raises(ConfigError, match="another search"):
        sweep(checkerboard_data, asked.model_copy(update={"trials": 4}), out, base, resume=True)
    assert sweep(checkerboard_data, asked, out, base, resume=True) == rows, "a complete sweep is shown again"


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_stopped_trials_leave_nothing_behind(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    """Two workers a trial, so one trial after the other: eight dimensions, then a hopeless single one."""
    before = set(open_groups())
    asked = search({"items.dim": {"choices": [8, 1]}}, trials=2, scheduler="asha", seed=draws_the_second())
    rows = sweep(checkerboard_data, asked, tmp_path / "s", config("train.workers=2"))
    assert [(row.state, row.passes, row.options["items.dim"]) for row in rows] == [
        ("done", 2, 8),
        ("stopped", 1, 1),
    ]
    assert within(30, lambda: set(open_groups()) <= before), open_groups()
    assert within(30, lambda: train_workers() == []), train_workers()
    assert Recommender.load(tmp_path / "s" / "artifact").score([]).shape == (60,)


def draws_the_second() -> int:
    """A seed whose first draw of two choices is the second."""
    from ray import tune
    from ray.tune.search import BasicVariantGenerator

    def first(seed: int) -> str:
        variants = BasicVariantGenerator(random_state=seed)
        variants.add_configurations(
            [tune.Experiment("x", lambda config: None, config={"c": tune.choice("ab")})]
        )
        return str(variants.next_trial().config["c"])

    return next(seed for seed in range(20) if first(seed) == "b")


def open_groups() -> list[str]:
    return [key for key, group in placement_group_table().items() if group["state"] != "REMOVED"]


def train_workers() -> list[int]:
    """Processes that Ray has named after Train's workers."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"TrainWorker" in (process / "cmdline").read_bytes().split(b"\0")[0]:
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.benchmark  # for its time
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_the_worse_go_on_from_the_better_at_other_rates(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    base = config("outer.passes=9", "train.checkpoint_every=2")  # a pass follows the last exchange
    rows = sweep(checkerboard_data, search(RATES, trials=4, scheduler="pbt"), tmp_path / "s", base)
    assert [row.state for row in rows] == ["done"] * 4
    assert (tmp_path / "s" / "trials" / "pbt_global.txt").read_text(), "some trial was cloned"
    for row in rows:
        state = torch.load(tmp_path / "s" / "runs" / row.run / "training.pt", weights_only=True)
        scalar, outer, _ = (group["lr"] for group in state["optimiser"]["param_groups"])
        assert scalar == row.options["outer.scalar_lr"]
        assert outer == row.options["outer.outer_lr"]
        assert state["passes_done"] == 9
    assert Recommender.load(tmp_path / "s" / "artifact").score([]).shape == (60,)


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_killed_sweep_goes_on_and_keeps_what_was_finished(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path
) -> None:
    """SIGKILL of the driver, in a process of its own, when two of four trials are done."""
    out, file = tmp_path / "s", tmp_path / "search.toml"
    file.write_text(
        'about = "A test."\ntrials = 4\nseed = 1\n[search]\n'
        'outer.outer_lr = { type = "float", min = 1e-3, max = 1e-2, scale = "log" }\n'
    )
    options = [o for override in (*SMALL, *FEW, "outer.passes=6") for o in ("--set", override)]
    command = ["-m", "jobs.tune", "--data", checkerboard_data, "--search", file, "--out", out, *options]
    address = ray.get_runtime_context().gcs_address
    driver = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "RAY_ADDRESS": address},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert driver.stdout is not None
        seen = []
        for line in driver.stdout:
            seen.append(line)
            if "done after" in line and len([s for s in seen if "done after" in s]) == 2:
                break
        else:
            pytest.fail("".join(seen))
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        driver.stdout.close()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/training.pt") if complete(path)}
    assert len(finished) >= 2
    assert not (out / "artifact").exists()
    asked, base = read_search(file), config("outer.passes=6")
    rows = sweep(checkerboard_data, asked, out, base, resume=True)
    assert [row.state for row in rows] == ["done"] * 4
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in finished.items()), "trained once"
    undisturbed = asked.config(base, rows[0].options)
    pretrain(checkerboard_data, tmp_path / "a", undisturbed, tmp_path / "runs")
    assert read_manifest(out / "artifact")["version"] == read_manifest(tmp_path / "a")["version"]
    assert within(30, lambda: ray.available_resources().get("CPU") == 2), "nothing of the killed one runs on"


def complete(path: Path) -> bool:
    return bool(torch.load(path, weights_only=True)["passes_done"] == 6)
