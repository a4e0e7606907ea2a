from __future__ import annotations

import io
import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from engine.evaluation.plot import draw, plot, spread
from engine.evaluation.report import figure, lead, markdown_table, rows, terminal_table
from engine.evaluation.results import Report


def make_report(ours: list[list[float]], theirs: list[list[float]], third: list[list[float]]) -> Report:
    """One list of users' values for each number of shots; the same figures as nDCG@10 and as RMSE."""
    values = np.array([[ours, ours], [theirs, theirs], [third, third]])
    return Report(("ours", "theirs", "third"), ("ndcg@10", "rmse"), (0, 5), values, "ours", {"order": "time"})


REPORT = make_report(
    ours=[[0.1, 0.3], [0.5, 0.7]], theirs=[[0.2, 0.4], [0.3, 0.3]], third=[[0.0, 0.0], [0.4, 0.4]]
)


def test_the_best_of_each_column_is_marked_whichever_way_is_better() -> None:
    marks = {metric: [row.best for row in rows([REPORT], metric)] for metric in ("ndcg@10", "rmse")}
    assert marks["ndcg@10"] == [(False, True), (True, False), (False, False)]
    assert marks["rmse"] == [(False, False), (False, True), (True, False)]


def test_the_lead_is_paired_to_the_best_other_method() -> None:
    ahead = lead([REPORT], "ndcg@10")
    assert [e.mean for e in ahead] == pytest.approx([-0.1, 0.2])  # to theirs, then to third
    assert [e.se for e in ahead] == pytest.approx([0.0, 0.1])
    assert [e.mean for e in lead([REPORT], "rmse")] == pytest.approx([-0.2, -0.3])


def test_markdown_by_hand() -> None:
    assert markdown_table([REPORT]).splitlines() == [
        "| events seen | 0 | 5 |",
        "|---|---:|---:|",
        "| ours | .200 ±.100 | **.600** ±.100 |",
        "| theirs | **.300** | .300 |",
        "| third | .000 | .400 |",
        "| *lead over the best other* | -.100 ±.000 | +.200 ±.100 |",
    ]


def test_several_splits_are_averaged() -> None:
    other = make_report([[0.3, 0.5]] * 2, [[0.0, 0.0]] * 2, [[0.0, 0.0]] * 2)
    cell = rows([REPORT, other], "ndcg@10")[0].cells[0]
    assert (cell.mean, cell.se, cell.n) == (pytest.approx(0.3), pytest.approx(0.02**0.5 / 2), 4)


def test_the_terminal_shows_the_same_figures() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal_table([REPORT, REPORT]))
    text = console.export_text()
    assert "nDCG@10 by number of events seen, time order" in text
    assert "4 new users in 2 splits" in text
    assert re.search(r"ours +│ +\.200 │ +\.600", text)
    assert len(re.findall(r"± standard error +│ +\.071 │ +\.071", text)) == 1
    assert re.search(r"lead over the best other +│ -\.100 │ \+\.200", text)


def test_a_single_method_and_unknown_figures_need_no_special_care(tmp_path: Path) -> None:
    alone = Report(("ours",), ("rmse",), (0,), np.full((1, 1, 1, 1), np.nan), "ours")
    assert markdown_table([alone], "rmse").splitlines()[2:] == ["| ours | - ±- |"]
    assert terminal_table([alone], "rmse").row_count == 2
    assert plot([alone], tmp_path / "x.png", "rmse").stat().st_size > 0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.3741, ".374"), (1.002, "1.002"), (-0.0161, "-.016"), (-0.0001, ".000"), (float("nan"), "-")],
)
def test_figures(value: float, text: str) -> None:
    assert figure(value) == text


def test_the_plot_shows_every_method_and_the_band_of_the_reference(tmp_path: Path) -> None:
    axes = draw([REPORT, REPORT], title="a title").axes[0]
    drawn = {tuple(np.round(line.get_ydata(), 6)) for line in axes.lines}
    assert drawn == {(0.2, 0.6), (0.3, 0.3), (0.0, 0.4)}
    assert {t.get_text() for t in axes.texts} == {"0.600  ours", "0.300  theirs", "0.400  third"}
    assert len(axes.collections) == 1
    pixels = matplotlib.image.imread(plot([REPORT], tmp_path / "new" / "quality.png"))
    assert pixels.shape[:2] == (768, 1344)


@given(st.lists(st.floats(-10, 10), max_size=12), st.floats(0.01, 1))
def test_labels_keep_their_order_their_centre_and_their_distance(heights: list[float], gap: float) -> None:
    placed = spread(heights, gap)
    order = np.argsort(heights, kind="stable")
    assert (np.diff(np.array(placed)[order]) >= gap - 1e-9).all()
    assert sum(placed) == pytest.approx(sum(heights), abs=1e-6)


def test_labels_that_do_not_touch_stay_where_they_are() -> None:
    assert spread([3.0, 1.0, 2.0], 0.5) == [3.0, 1.0, 2.0]
    assert spread([], 1.0) == []
