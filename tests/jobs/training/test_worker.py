"""When a worker saves. Whole runs, and what kills them, are tested in ``tests.jobs.test_faults``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import ray.train

from engine.config import TrainConfig
from engine.learning.training import PassReport
from jobs.training import worker
from jobs.training.worker import NOTICE_STEPS

REPORT = PassReport(1, 0.5, 0.2, 0.2, 1.0)


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each report to Ray Train brought a checkpoint."""
    reports: list[bool] = []
    monkeypatch.setattr(
        ray.train, "report", lambda metrics, checkpoint, **_: reports.append(bool(checkpoint))
    )
    monkeypatch.setattr(worker, "_rank", lambda: 0)
    monkeypatch.setattr(worker._Saving, "_checkpoint", lambda self: "a checkpoint")
    return reports


def saving() -> Any:
    """Of a run in which no checkpoint is due by itself."""
    model = SimpleNamespace(catalogue=None)
    position = {"steps_done": NOTICE_STEPS, "passes_done": 1, "done": False}
    training = SimpleNamespace(**position, model=model, check=lambda: None)
    rarely = TrainConfig(checkpoint_steps=10**6, checkpoint_every=10**6)
    return worker._Saving(training, SimpleNamespace(train=rarely))


@pytest.mark.parametrize("where", ["within a pass", "after a short pass"])
def test_a_notice_that_a_node_will_go_brings_one_checkpoint(
    saved: list[bool], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    told: list[object] = [None, "a node will go", "a node will go"]
    monkeypatch.setattr(ray.train, "get_preemption_info", lambda: told.pop(0))
    this = saving()
    for _ in range(3):
        this.after_step() if where == "within a pass" else this.after_pass(REPORT)
    assert saved == ([True] if where == "within a pass" else [False, True, False])


def test_what_one_worker_is_told_makes_all_save(saved: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray.train, "get_preemption_info", lambda: None)
    monkeypatch.setattr(worker, "gather_from_workers", lambda told: [told, True])
    saving().after_step()
    assert saved == [True]
