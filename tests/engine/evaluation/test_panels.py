from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from engine.evaluation.panels import draw_panels, plot_panels
from engine.evaluation.results import Report

METHODS = ("ours", *(f"rival {i}" for i in range(9)))


def report(methods: tuple[str, ...], shots: tuple[int, ...]) -> Report:
    values = np.random.default_rng(len(shots)).random((len(methods), 1, len(shots), 5))
    return Report(methods, ("ndcg@10",), shots, values, methods[0])


def test_a_panel_shows_the_means_of_its_reports() -> None:
    made = report(METHODS[:3], (0, 1, 5))
    (axes,) = draw_panels({"films": [made]}).axes
    drawn = [np.asarray(line.get_ydata(), float) for line in axes.lines]
    expected = made.values[:, 0].mean(axis=-1)[[1, 2, 0]]  # the reference is drawn last, above the others
    np.testing.assert_allclose(drawn, expected)
    assert axes.get_title(loc="left") == "films"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "5"]


def test_a_method_looks_the_same_in_all_panels_and_like_no_other() -> None:
    panels = {"a": [report(METHODS, (0, 1))], "b": [report(METHODS[:1] + METHODS[:4:-1], (0, 1, 2))]}
    figure = draw_panels(panels)
    looks = [
        {(line.get_color(), str(line.get_linestyle()), line.get_linewidth()) for line in axes.lines}
        for axes in figure.axes
    ]
    assert len(looks[0]) == len(METHODS)
    assert looks[1] < looks[0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(METHODS)


@pytest.mark.parametrize("n", [1, 4])
def test_nothing_overlaps(tmp_path: Path, n: int) -> None:
    panels = {f"data set {i}": [report(METHODS, (0, 1))] for i in range(n)}
    figure = draw_panels(panels)
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == n
    boxes = [axes.get_tightbbox() for axes in shown] + [figure.legends[0].get_window_extent()]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert plot_panels(panels, tmp_path / "p" / "x.png").read_bytes().startswith(b"\x89PNG")
