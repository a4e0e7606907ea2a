"""Own names and kinds, from a file and from options; typing errors are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.data.tables.schema import Schema, read_schema
from engine.errors import ConfigError


def test_a_file_and_options_on_top(tmp_path: Path):
    path = tmp_path / "schema.toml"
    path.write_text(
        '[columns]\nevent = "kind"\n[items]\ntitle = "text"\n'
        '[users]\nzip_code = "ignore"\n[edges]\nfriend = "users"\n'
    )
    schema = read_schema(path).with_columns(["event=event_type", "src=from"])
    assert schema == Schema(
        {"event": "event_type", "src": "from"}, {"title": "text"}, {"zip_code": "ignore"}, {"friend": "users"}
    )
    assert schema.columns_of("edges") == {"src": "from"}
    assert schema.columns_of("items") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[column]\n", r"unknown section 'column'.*Did you mean 'columns'"),
        ("title = 1\n", "unknown section 'title'"),
        ('[columns]\nitemid = "x"\n', r"unknown column .* 'itemid'.*Did you mean 'item_id'"),
        ("[items]\ntitle = 3\n", "title = 3 is not a text"),
        ("[items\n", "is not TOML"),
        ('[columns]\nrating = "x"\nvalue = "x"\n', "'x' is named for two columns"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "schema.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_schema(tmp_path / "schema.toml")


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_schema(tmp_path / "schema.toml")


@pytest.mark.parametrize("pair", ["event", "event=", "=kind", "evnt=kind"])
def test_mistakes_in_options_are_named(pair: str):
    with pytest.raises(ConfigError, match="--column"):
        Schema().with_columns([pair])


def test_a_column_of_one_table_goes_before_one_of_all() -> None:
    schema = Schema().with_columns(["item_id=movie", "items.item_id=id", "event=type", "relation=type"])
    assert schema.columns_of("interactions") == {"item_id": "movie", "event": "type"}
    assert schema.columns_of("items") == {"item_id": "id"}
    assert schema.columns_of("edges") == {"relation": "type"}


@pytest.mark.parametrize("pair", ["items.rating=stars", "item.item_id=id", "users.user_id=a=b"])
def test_a_column_of_one_table_must_be_one_that_it_has(pair: str) -> None:
    if pair.startswith("users"):
        assert Schema().with_columns([pair]).columns_of("users") == {"user_id": "a=b"}
        return
    with pytest.raises(ConfigError, match="unknown column of the contract"):
        Schema().with_columns([pair])
