"""Tables, files and pictures of a sweep, from trials made by hand."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import pytest
from rich.console import Console

from engine.config import Config, load_config
from jobs.search_space import Choices, Range
from jobs.sweep.board import Board, Row, ranked, table
from jobs.sweep.plots import _height, plane, plot_parallel, plot_plane
from jobs.sweep.results import write_best, write_csv

SPACE = {
    "outer.outer_lr": Range(type="float", min=1e-4, max=1e-2, scale="log"),
    "outer.users_per_step": Choices(choices=(32, 64, 128)),
    "inner.inner_lr": Range(type="float", min=1e-3, max=1e-1, scale="log"),
}


def row(run: str, quality: float, state: str = "done", rate: float = 1e-3) -> Row:
    options = {"outer.outer_lr": rate, "outer.users_per_step": 64, "inner.inner_lr": 0.01}
    return Row(run, state, options, passes=3, quality=quality)


ROWS = [
    row("low", 0.1),
    row("wild", 0.9, "diverged"),
    row("high", 0.3, rate=4e-3),
    row("new", -math.inf, "running"),
    row("cut", 0.2, "stopped"),
]


def test_the_best_come_first_and_what_diverged_is_none_of_them() -> None:
    assert [r.run for r in ranked(ROWS)] == ["high", "cut", "low", "wild", "new"]


def test_errors_are_ranked_by_being_small() -> None:
    """The quality of a rating model is its negative error."""
    assert [r.run for r in ranked([row("a", -0.9), row("b", -0.8)])] == ["b", "a"]


def test_the_table_shows_what_was_reached_and_with_what() -> None:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table(ROWS, "nDCG@10", title="5 trials"))
    lines = captured.get().splitlines()
    first = next(line for line in lines if "high" in line)
    options = ["outer.outer_lr=0.004", "outer.users_per_step=64", "inner.inner_lr=0.01"]
    assert first.split() == ["1", "0.3000", "3", "0", *options, "high", "done"]
    assert "0.9" not in captured.get()
    assert len(lines) == 7


def test_a_long_table_says_what_it_leaves_out() -> None:
    assert table([row(str(i), i / 100) for i in range(25)], "x", title="").caption == "and 5 more"


def test_a_board_is_pickled_without_the_terminal() -> None:
    assert pickle.loads(pickle.dumps(Board(4, "x"))).__dict__ == Board(4, "x").__dict__


def test_the_best_options_are_a_configuration_that_says_where_it_is_from(tmp_path: Path) -> None:
    options = ["objective=click", "outer.outer_lr=1e-05", "evaluation.shots=[0,1]", "signals.relevant_min=4"]
    config = load_config(None, options)
    on_workers = config.model_copy(update={"train": Config().train.model_copy(update={"workers": 2})})
    write_best(on_workers, "one line\n\nanother", tmp_path / "best.toml")
    assert load_config(tmp_path / "best.toml") == config
    text = (tmp_path / "best.toml").read_text()
    assert text.startswith("# one line\n#\n# another\n\n")
    assert "workers" not in text
    assert "dim" not in text, "what is default is not repeated"


def test_every_trial_is_a_line(tmp_path: Path) -> None:
    write_csv([replace(ROWS[0], failure="it, burst")], tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_text().splitlines() == [
        "run,state,quality,passes,seconds,outer.outer_lr,outer.users_per_step,inner.inner_lr,failure",
        'low,done,0.1,3,0.0,0.001,64,0.01,"it, burst"',
    ]


def test_values_stand_on_their_axes_by_scale() -> None:
    assert _height(SPACE["outer.outer_lr"], 1e-3) == pytest.approx(0.5)
    assert _height(SPACE["outer.users_per_step"], 128) == 1.0
    assert _height(Range(type="int", min=2, max=6), 3) == pytest.approx(0.25)


def test_the_plane_is_that_of_the_rates_or_of_the_first_two_ranges() -> None:
    assert plane(SPACE) == ("inner.inner_lr", "outer.outer_lr")
    assert plane({key: SPACE[key] for key in ("outer.outer_lr", "outer.users_per_step")}) is None
    others = {"items.shrink": SPACE["outer.outer_lr"], "items.dropout": SPACE["outer.outer_lr"]}
    assert plane(others) == ("items.shrink", "items.dropout")


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1]], ids=["several", "one"])
def test_pictures_are_drawn(rows: list[Row], tmp_path: Path) -> None:
    plot_parallel(rows, SPACE, "nDCG@10", tmp_path / "parallel.png")
    plot_plane(rows, SPACE, ("inner.inner_lr", "outer.outer_lr"), "nDCG@10", tmp_path / "plane.png")
    for name in ("parallel.png", "plane.png"):
        pixels = matplotlib.image.imread(tmp_path / name)
        assert pixels.shape[0] == 630
        assert pixels[..., :3].min() < 0.5, "not blank"
