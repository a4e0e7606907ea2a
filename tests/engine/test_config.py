"""Options are read, overridden and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import Config, known_keys, load_config, to_dict
from engine.errors import ConfigError

SHIPPED = sorted((Path(__file__).parents[2] / "tune_configs").glob("*.toml"))


def test_no_file_gives_the_defaults() -> None:
    assert load_config() == Config()


def test_a_file_and_then_overrides_in_order(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('seed = 3\n[items]\ndim = 16\n[signals]\nrelevant = ["LIKE"]\n')
    config = load_config(file, ["items.dim=32", "items.dim=64", "episodes.order=random"])
    assert (config.seed, config.items.dim, config.episodes.order) == (3, 64, "random")
    assert config.signals.relevant == ("LIKE",)


def test_round_trip() -> None:
    config = load_config(None, ["seed=7", "evaluation.shots=[0,2]"])
    assert Config(**to_dict(config)) == config


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_is_valid(path: Path) -> None:
    load_config(path)


def test_files_are_shipped_and_base_holds_the_defaults() -> None:
    base = next(path for path in SHIPPED if path.name == "base.toml")
    assert load_config(base) == Config()
    text = base.read_text()
    missing = [key for key in known_keys() if key.rpartition(".")[2] not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("items.dmi=3", "unknown key items.dmi .*Did you mean items.dim"),
        ("nonsense=1", "unknown key nonsense"),
        ("outer.rule=reptile", "reptile needs inner.method = gradient"),
        ("items.dim=0", "items.dim = 0"),
        ("items.dim=big", 'items.dim = "big"'),
        ("outer.outer_lr=-1", "outer.outer_lr = -1"),
        ("episodes.order=backwards", "episodes.order"),
        ("items.dim", "'items.dim' is not an override"),
        ("=3", "is not an override"),
        ("seed.x=1", "is not a section|seed"),
        ("outer.outer_lr=NaN", "outer.outer_lr"),
    ],
)
def test_a_wrong_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dim=3", "unknown key dim .*Did you mean items.dim"),
        ("inner.metod=x", "Did you mean inner.method"),
        ("item.dim=3", "unknown key item .*Did you mean items"),
        ("items.dim=big", 'items.dim = "big" is not a whole number'),
        ("items.dim=1.5", "items.dim = 1.5 is not a whole number"),
        ("items.dim=0", "items.dim = 0 must be at least 1"),
        ("outer.outer_lr=fast", 'outer.outer_lr = "fast" is not a number'),
        ("outer.outer_lr=0", "outer.outer_lr = 0 must be more than 0"),
        ("items.dropout=1", "items.dropout = 1 must be less than 1"),
        ("inner.robust=perhaps", "inner.robust = .perhaps. is neither true nor false"),
        ("objective=best", "objective = .best. is not one of 'ranking', 'click' or 'rating'"),
        ("evaluation.shots=5", r"evaluation.shots = 5 is not a list: write \[1, 2\]"),
        ('evaluation.shots=[0,"x"]', r'evaluation.shots\[1\] = "x" is not a whole number'),
        ("signals.relevant=LIKE", r'signals.relevant = "LIKE" is not a list'),
        ("items=3", "items = 3 is not a section: .*Keys are items.dim"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [override])


@pytest.mark.parametrize(
    ("content", "message"),
    [("seed = ", "not valid TOML"), ("seed = 'x'", 'seed = "x"'), ("[item]\ndim=3", "item")],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file)
    assert str(file) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "nowhere.toml")


def test_reptile_has_no_query_loss_to_weigh() -> None:
    reptile = ("inner.method=gradient", "outer.rule=reptile")
    assert load_config(None, reptile).outer.rule == "reptile"
    with pytest.raises(ConfigError, match=r"population_weight .* reptile has not"):
        load_config(None, (*reptile, "outer.population_weight=0.1"))


def test_workers_are_a_number_or_a_range() -> None:
    assert load_config(None, ["train.workers=[1,4]"]).train.workers == (1, 4)
    with pytest.raises(ConfigError, match="the smaller number comes first"):
        load_config(None, ["train.workers=[4,1]"])
    with pytest.raises(ConfigError, match=r"train\.workers"):
        load_config(None, ["train.workers=-1"])
