"""Search files: what they may say, and that every configuration they lead to is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import Config, flat, load_config, to_dict
from engine.errors import ConfigError
from jobs.search_space import MUTABLE, Choices, Range, Search, nested, read_search

CONFIGS = Path(__file__).parents[2] / "tune_configs"
SHIPPED = sorted((CONFIGS / "search").rglob("*.toml"))

GOOD = """
about = "A test."
trials = 4
[set]
inner.method = "gradient"
outer.passes = 2
[search]
inner.inner_lr = { type = "float", min = 1e-3, max = 1e-1, scale = "log" }
inner.inner_steps = { type = "int", min = 1, max = 5 }
outer.rule = { choices = ["maml", "reptile"] }
"""


def read(text: str, tmp_path: Path) -> Search:
    (tmp_path / "s.toml").write_text(text)
    return read_search(tmp_path / "s.toml")


def pbt(search: str) -> str:
    return f'about = "x"\nscheduler = "pbt"\n[search]\n{search}'


def test_a_file_is_read(tmp_path: Path) -> None:
    search = read(GOOD, tmp_path)
    assert search.search == {
        "inner.inner_lr": Range(type="float", min=1e-3, max=1e-1, scale="log"),
        "inner.inner_steps": Range(type="int", min=1, max=5),
        "outer.rule": Choices(choices=("maml", "reptile")),
    }
    assert search.set == {"inner.method": "gradient", "outer.passes": 2}
    search.check(Config())


def test_sections_may_be_tables_of_their_own(tmp_path: Path) -> None:
    table = GOOD.replace("[set]", "[set.inner]").replace("inner.method", "method")
    table = table.replace("outer.passes = 2\n", "")
    assert read(table, tmp_path).set == {"inner.method": "gradient"}


def test_a_trial_is_the_base_the_fixed_and_the_sampled(tmp_path: Path) -> None:
    search, base = read(GOOD, tmp_path), load_config(None, ["items.dim=7", "outer.passes=9"])
    config = search.config(base, {"inner.inner_lr": 0.02, "outer.rule": "reptile"})
    assert config == load_config(
        None,
        [
            "items.dim=7",
            "outer.passes=2",
            "inner.method=gradient",
            "inner.inner_lr=.02",
            "outer.rule=reptile",
        ],
    )


def test_the_first_trial_is_the_base_if_it_lies_in_the_space(tmp_path: Path) -> None:
    search = read(GOOD, tmp_path)
    assert search.start(Config()) == {"inner.inner_lr": 0.003, "inner.inner_steps": 5, "outer.rule": "maml"}
    assert search.start(load_config(None, ["inner.inner_steps=6"])) is None


def test_nested_is_the_inverse_of_flat() -> None:
    values = to_dict(load_config(None, ["seed=3", "items.dim=7"]))
    assert nested(flat(values)) == values


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max = 5", "maximum = 5", r"unknown key maximum .*inner\.inner_steps.*Did you mean max"),
        (", max = 5", "", r"max is missing .*inner\.inner_steps"),
        ("min = 1, ", "", r"min is missing .*inner\.inner_steps"),
        ('type = "int", ', "", r"type is missing .*inner\.inner_steps"),
        ("min = 1,", "min = 5,", r"min = 5 is not below max = 5"),
        ("min = 1e-3", "min = 0", r"scale = log needs min above 0"),
        ("max = 5", "max = 5.5", r"type = int needs whole numbers, not 1 to 5.5"),
        ('"log"', '"lgo"', r"scale"),
        ('choices = ["maml", "reptile"]', 'choices = ["maml"]', r"outer\.rule\.choices"),
        ('choices = ["maml", "reptile"]', 'choices = ["maml", "reptile"], min = 1', r"unknown key min"),
        ("inner.inner_steps", "inner.inner_step", r"unknown key inner\.inner_step\. Did you mean inner"),
        ("outer.passes", "outer.pases", r"unknown key outer\.pases\. Did you mean outer\.passes"),
        ("inner.method", "inner.inner_lr", r"inner\.inner_lr is both searched and set"),
        ("trials = 4", "trails = 4", r"unknown key trails .*Did you mean trials"),
        ("trials = 4", "trials = 0", r"trials"),
        ('about = "A test."', "", r"about is missing"),
        ("outer.rule =", "objective =", r"objective changes what is measured"),
        ("outer.rule =", "evaluation.split_file =", r"evaluation\.split_file changes what is measured"),
        ("[search]", "[search", r"not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message) as caught:
        read(GOOD.replace(old, new), tmp_path)
    assert "s.toml" in str(caught.value)


def test_a_missing_file_and_an_empty_search(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the search file"):
        read_search(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="search"):
        read('about = "x"\n[search]\n', tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max = 5", "max = 5", None),
        ('inner.method = "gradient"', 'inner.method = "closed_form"', r"reptile needs inner\.method"),
        ("min = 1,", "min = -1,", r"inner\.inner_steps = -1"),
        ('"maml", "reptile"', '"maml", "reptil"', r'outer\.rule = "reptil"'),
        ("outer.passes = 2", "outer.population_weight = 0.5", r"population_weight .* reptile has not"),
    ],
)  # fmt: skip
def test_the_corners_are_configurations(old: str, new: str, message: str | None, tmp_path: Path) -> None:
    search = read(GOOD.replace(old, new), tmp_path)
    if message is None:
        search.check(Config())
    else:
        with pytest.raises(ConfigError, match=message):
            search.check(Config())


def test_a_corner_of_two_options_is_seen(tmp_path: Path) -> None:
    """Each alone is fine: 0.5 of the prior's loss with maml, reptile with none of it."""
    both = GOOD + "outer.population_weight = { type = 'float', min = 0.0, max = 0.5 }\n"
    with pytest.raises(ConfigError, match=r"population_weight .* reptile has not"):
        read(both, tmp_path).check(Config())


def test_a_schedule_changes_only_what_a_model_in_training_can_take(tmp_path: Path) -> None:
    rate = 'outer.outer_lr = { type = "float", min = 1e-3, max = 1e-2, scale = "log" }'
    assert read(pbt(rate), tmp_path).scheduler == "pbt"
    with pytest.raises(ConfigError, match=r"pbt cannot change items\.dim, only .*outer\.outer_lr"):
        read(pbt("items.dim = { choices = [8, 16] }"), tmp_path)
    with pytest.raises(ConfigError, match="searcher = random"):
        read('searcher = "tpe"\n' + pbt(rate), tmp_path)
    with pytest.raises(ConfigError, match="2 or more"):
        read("trials = 1\n" + pbt(rate), tmp_path)
    assert set(MUTABLE) <= set(flat(to_dict(Config())))


def test_files_are_shipped() -> None:
    names = {path.name for path in SHIPPED}
    assert names >= {
        "smoke.toml",
        "learning_rates.toml",
        "closed_form.toml",
        "objectives.toml",
        "schedule.toml",
    }


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_search_is_valid_and_says_how_to_run_it(path: Path) -> None:
    search = read_search(path)
    search.check(Config())
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    command = f"firstclick tune --data DATASET --search tune_configs/{path.relative_to(CONFIGS)} --out DIR"
    assert f"#   {command}" in lines
