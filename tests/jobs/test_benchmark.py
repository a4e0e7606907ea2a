"""The benchmark job: what is measured, what is kept, what is told of failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.config import load_config
from engine.data.dataset import Dataset
from engine.errors import DataError, TrainingError
from engine.evaluation.baselines import baselines
from engine.evaluation.evaluate import evaluate
from engine.evaluation.results import Report
from engine.learning.experiment import set_up
from jobs import benchmark as job
from jobs.benchmarking.cell import METHODS, Cell, Failure, Outcome, attempt, load_report, save_report
from jobs.benchmarking.tables import beside, grouped, markdown, notes, relative_lead, summary
from tests.jobs.benchmark_plans import FAST, OPTIONS, plan_of


def here(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Outcome]]:
    """Computes cells in this process."""
    return map(attempt, cells)


class Counting:
    """Computes cells in this process and remembers which."""

    def __init__(self) -> None:
        self.computed: list[str] = []

    def __call__(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Outcome]]:
        for cell in cells:
            self.computed.append(str(cell))
            yield attempt(cell)


class TestCell:
    @pytest.fixture
    def cell(self, checkerboard_data: Path) -> Cell:
        return next(plan_of(checkerboard_data).cells({"board": checkerboard_data}))

    def test_a_baseline_does_not_depend_on_the_models_options(self, cell: Cell) -> None:
        other = load_config(None, ["items.dim=5", "episodes.order=time", "episodes.query_after=5"])
        at = load_config(None, ["episodes.order=time", "episodes.query_after=5"])
        names = [
            {replace(cell, method=method, config=config).file_name for config in (at, other)}
            for method in ("EASE", "firstclick", "a variant")
        ]
        assert [len(n) for n in names] == [1, 2, 2]

    def test_its_file_changes_with_all_that_its_figures_depend_on(self, cell: Cell) -> None:
        changed = [
            replace(cell, fingerprint="f"),
            replace(cell, method="EASE"),
            *(
                replace(cell, config=load_config(None, [option]))
                for option in ("seed=8", "episodes.query_after=6", "episodes.order=random")
            ),
        ]
        assert len({c.file_name for c in [cell, *changed]}) == 6
        assert replace(cell, folder=Path("elsewhere")).file_name == cell.file_name

    def test_its_figures_are_those_of_the_evaluation(self, cell: Cell, checkerboard_data: Path) -> None:
        report = attempt(replace(cell, method="item-kNN"))[1]
        experiment = set_up(Dataset.load(checkerboard_data), cell.config)
        held_out = experiment.held_out(experiment.split.test)
        known = baselines(
            experiment.dataset.histories.take(experiment.split.train),
            60,
            experiment.relevant,
            experiment.held_out(experiment.split.validation).episodes,
            5,
            "time",
        )
        expected = evaluate([s for s in known if s.name == "item-kNN"], held_out)
        assert isinstance(report, Report)
        np.testing.assert_array_equal(report.values, expected.values)
        assert report.context["users"] == [experiment.dataset.user_ids[u] for u in held_out.users]

    def test_other_data_than_planned_are_refused(self, cell: Cell) -> None:
        outcome = attempt(replace(cell, fingerprint="other"))[1]
        assert isinstance(outcome, Failure)
        assert "not the one planned for" in outcome.message
        assert outcome.details == ""

    def test_an_unexpected_error_keeps_its_traceback(self, cell: Cell, monkeypatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("of all things")

        monkeypatch.setattr("jobs.benchmarking.cell.fit", broken)
        outcome = attempt(cell)[1]
        assert isinstance(outcome, Failure)
        assert outcome.message == "ZeroDivisionError: of all things"
        assert "in broken" in outcome.details

    def test_files_round_trip_and_what_cannot_be_read_is_none(self, cell: Cell, tmp_path: Path) -> None:
        report = attempt(cell)[1]
        assert isinstance(report, Report)
        save_report(report, tmp_path / "a" / "cell.json")
        again = load_report(tmp_path / "a" / "cell.json")
        assert again is not None
        np.testing.assert_array_equal(again.values, report.values)
        assert again.context == report.context
        assert [p.name for p in (tmp_path / "a").iterdir()] == ["cell.json"]
        for text in ("", "{", "[]", '{"format": 0}'):
            (tmp_path / "bad.json").write_text(text)
            assert load_report(tmp_path / "bad.json") is None


class TestRun:
    def test_the_table_holds_all_methods_and_every_user_is_kept(
        self, checkerboard_data: Path, tmp_path: Path
    ) -> None:
        plan = plan_of(checkerboard_data, methods=["firstclick", *FAST])
        (group,) = job.benchmark(plan, tmp_path, tmp_path, here)
        text = (tmp_path / "benchmark.md").read_text()
        assert all(f"| {method} |" in text for method in plan.methods)
        assert "board, time order" in text
        assert [r.context["seed"] for r in group.reports] == [0, 1]
        (saved,) = json.loads((tmp_path / "benchmark.json").read_text())
        assert list(saved["figures"]) == list(plan.methods)
        assert saved["failures"] == []
        for method in plan.methods:
            kept = [load_report(path) for path in sorted((tmp_path / "cells").iterdir())]
            own = [r for r in kept if r is not None and r.methods == (method,)]
            means = np.mean([np.nanmean(r.per_user(method, "ndcg@10", 2)) for r in own])
            assert saved["figures"][method]["ndcg@10"][2]["mean"] == pytest.approx(means, abs=1e-5)
        assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")
        two_events = saved["shots"].index(2)
        ours, theirs = (saved["figures"][m]["ndcg@10"][two_events]["mean"] for m in plan.methods[:2])
        assert ours > 1.5 * theirs  # after two events the kind is known, and popularity knows none

    def test_what_is_finished_is_not_done_again(self, checkerboard_data: Path, tmp_path: Path) -> None:
        run = Counting()
        once = job.benchmark(plan_of(checkerboard_data), tmp_path, tmp_path, run)
        assert len(run.computed) == 6
        again = job.benchmark(plan_of(checkerboard_data), tmp_path, tmp_path, run)
        assert len(run.computed) == 6
        assert summary(again) == summary(once)
        job.benchmark(plan_of(checkerboard_data, seeds=[0, 1, 2]), tmp_path, tmp_path, run)
        assert run.computed[6:] == [f"board, time order, seed 2: {method}" for method in FAST]

    def test_a_broken_cell_is_measured_again(self, checkerboard_data: Path, tmp_path: Path) -> None:
        job.benchmark(plan_of(checkerboard_data), tmp_path, tmp_path, here)
        broken = sorted((tmp_path / "cells").iterdir())[3]
        whole = broken.read_text()
        broken.write_text(whole[:100])
        run = Counting()
        job.benchmark(plan_of(checkerboard_data), tmp_path, tmp_path, run)
        assert len(run.computed) == 1
        assert json.loads(broken.read_text())["values"] == json.loads(whole)["values"]

    def test_a_killed_run_goes_on_where_it_was(self, checkerboard_data: Path, tmp_path: Path) -> None:
        """The process kills itself after its second cell, as the machine might."""
        script = f"""
import os, signal
from pathlib import Path
from jobs.benchmark import benchmark
from jobs.benchmarking.cell import attempt
from tests.jobs.benchmark_plans import plan_of

def execute(cells):
    yield from map(attempt, cells[:2])
    os.kill(os.getpid(), signal.SIGKILL)

benchmark(plan_of(Path({str(checkerboard_data)!r})), Path("."), Path({str(tmp_path)!r}), execute)
"""
        root = Path(__file__).parents[2]
        killed = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, timeout=120)
        assert killed.returncode == -9, killed.stderr
        assert not (tmp_path / "benchmark.md").exists()
        run = Counting()
        (group,) = job.benchmark(plan_of(checkerboard_data), tmp_path, tmp_path, run)
        assert len(run.computed) == 4
        assert len(group.reports) == 2

    def test_a_failed_cell_is_told_and_does_not_lose_the_others(
        self, checkerboard_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def flaky(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Outcome]]:
            for cell in cells:
                bad = (cell.method, cell.seed) == ("popularity", 1)
                yield (cell, Failure("it broke")) if bad else attempt(cell)

        groups = job.benchmark(plan_of(checkerboard_data), tmp_path, tmp_path, flaky)
        assert groups[0].reports[0].methods == FAST[1:]
        assert "Left out: popularity, failed on seed 1." in (tmp_path / "benchmark.md").read_text()
        job.show(groups)
        out = capsys.readouterr().out
        assert "failed: it broke" in out
        assert "Left out: popularity, failed on seed 1." in out
        with pytest.raises(TrainingError, match=r"1 of the cells failed: board.*popularity: it broke"):
            job.stop_if_failed(groups)
        run = Counting()
        groups = job.benchmark(plan_of(checkerboard_data), tmp_path, tmp_path, run)
        assert run.computed == ["board, time order, seed 1: popularity"]
        job.stop_if_failed(groups)

    def test_nothing_but_failures(self, checkerboard_data: Path, tmp_path: Path) -> None:
        groups = job.benchmark(
            plan_of(checkerboard_data), tmp_path, tmp_path, lambda cells: ((c, Failure("no")) for c in cells)
        )
        job.show(groups)
        assert len(json.loads((tmp_path / "benchmark.json").read_text())[0]["failures"]) == 6
        assert not (tmp_path / "benchmark.png").exists()


class TestTables:
    def report(self, method: str, value: float, users: Sequence[str] = ("a", "b")) -> Report:
        context = {"data": "d", "order": "time", "seed": 0, "users": list(users), "fit_s": 2.0}
        values = np.full((1, 1, 2, len(users)), value)
        return Report((method,), ("ndcg@10",), (0, 1), values, method, context)

    def test_methods_are_put_side_by_side(self) -> None:
        joint = beside([self.report("ours", 0.6), self.report("theirs", 0.5)])
        assert (joint.methods, joint.reference) == (("ours", "theirs"), "ours")
        assert joint.difference("theirs", "ndcg@10", 1).mean == pytest.approx(-0.1)
        assert joint.context["fit_s"] == {"ours": 2.0, "theirs": 2.0}
        assert relative_lead([joint]) == pytest.approx([0.2, 0.2])
        assert np.isnan(relative_lead([beside([self.report("a", 0.5), self.report("b", 0.0)])])).all()

    def test_other_users_are_refused(self) -> None:
        with pytest.raises(DataError, match="different users"):
            beside([self.report("ours", 0.6), self.report("theirs", 0.5, ("a", "c"))])

    def test_one_method_alone_has_no_lead(self, checkerboard_data: Path) -> None:
        cell = next(plan_of(checkerboard_data).cells({"board": checkerboard_data}))
        (group,) = grouped({cell: self.report("popularity", 0.5)})
        assert [line.split(",")[0] for line in notes(group)] == [
            "Seconds of one CPU to train and tune",
        ]
        assert "| popularity |" in markdown([group])
        assert summary([group])[0]["lead"] == []


@pytest.mark.ray
def test_all_methods_on_ray_and_a_worker_that_fails(
    ray_cluster: None,
    checkerboard_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("implicit")
    (tmp_path / "b.toml").write_text(f"""
seeds = [0]
options = {json.dumps(OPTIONS)}
[variants]
diverging = ["outer.outer_lr=1e30"]
[data.board]
prepared = {json.dumps(str(checkerboard_data))}
query_after = 5
shots = [0, 2]
""")
    arguments = ["benchmark", str(tmp_path / "b.toml"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        job.main()
    assert stop.value.code == 1
    text = (tmp_path / "out" / "benchmark.md").read_text()
    assert all(f"| {method} |" in text for method in METHODS)
    assert "Left out: diverging, failed on seed 0." in text
    assert "training diverged" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*arguments, *(a for m in METHODS for a in ("--method", m))])
    with pytest.raises(SystemExit) as stop:
        job.main()
    assert stop.value.code == 0
    assert f"{len(METHODS)} of them measured before" in capsys.readouterr().out


@pytest.mark.ray
def test_a_worker_that_dies_fails_its_cell_alone(
    ray_cluster: None, checkerboard_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deadly(cell: Cell) -> tuple[Cell, Outcome]:
        if cell.method == "popularity":
            os._exit(1)
        return attempt(cell)

    monkeypatch.setattr(job, "attempt", deadly)
    plan = plan_of(checkerboard_data, seeds=[0], methods=FAST[:2])
    (group,) = job.benchmark(plan, tmp_path, tmp_path, job.on_ray)
    assert [failure.message.split(":")[0] for failure in group.failures.values()] == ["Ray lost the cell"]
    assert group.reports[0].methods == ("late popularity",)
