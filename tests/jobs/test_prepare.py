"""From tables to a data set: the same whatever the layout of the input; bad input is named by its file."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data.dataset import Dataset
from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.sources.checkerboard import checkerboard
from engine.data.tables.schema import Schema
from engine.errors import ConfigError, DataError
from jobs.prepare import main, prepare

PROJECT = Path(__file__).parents[2]
EVENTS = pd.DataFrame(
    {
        "user_id": [2, 1, 2, 10, 2],
        "item_id": [7, 7, 9, 9, 7],
        "rating": [5, 4, 1, 3, 5],
        "timestamp": [30.0, 10.0, 20.0, 40.0, 30.0],
    }
)
NO_ROWS_LEFT_OUT = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}


def loaded(folder: Path, **inputs: object) -> Dataset:
    prepare(out=folder / "data", **inputs, replace=True)
    return Dataset.load(folder / "data")


def histories(data: Dataset) -> dict[str, list[tuple[str, str, float | None]]]:
    """user -> (item, signal, time or None) in order."""
    h = data.histories
    times = [None if math.isnan(t) else t for t in h.timestamp.tolist()]
    events = [
        (data.item_ids[i], data.signals.names[s], t)
        for i, s, t in zip(h.item_row, h.signal, times, strict=True)
    ]
    return {user: events[h.of(row)] for row, user in enumerate(data.user_ids)}


def test_a_small_table_by_hand(tmp_path: Path):
    data = loaded(tmp_path, interactions=EVENTS)
    assert histories(data) == {
        "1": [("7", "rating=4", 10)],
        "2": [("9", "rating=1", 20), ("7", "rating=5", 30), ("7", "rating=5", 30)],  # repeats are kept
        "10": [("9", "rating=3", 40)],
    }
    assert list(histories(data)) == ["1", "2", "10"]  # numbers in their order
    assert data.dated


def test_users_and_items_follow_their_tables_and_then_natural_order(tmp_path: Path):
    items = pd.DataFrame({"size": [1.0, 2.0], "item_id": [9, 3]})
    users = pd.DataFrame({"user_id": [10, 4, 1], "age": [30, 40, 50]})
    data = loaded(tmp_path, interactions=EVENTS, items=items, users=users)
    assert data.item_ids == ["9", "3", "7"]
    assert data.items["size"].to_pylist() == [1, 2, None]
    assert data.user_ids == ["10", "1", "2"]
    assert data.users["age"].to_pylist() == [30, 50, None]
    counts = data.manifest["counts"]
    assert (counts["users_without_events"], counts["items_without_events"]) == (1, 1)


@st.composite
def events(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 25))

    def column(of: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(of, min_size=n, max_size=n))

    return pd.DataFrame(
        {
            "user_id": column(st.integers(-3, 12)),
            "item_id": column(st.integers(0, 10**18)),
            "rating": column(st.sampled_from([0.5, 1.0, 4.0])),
            "timestamp": column(st.one_of(st.none(), st.integers(0, 10**9))),
            "page": column(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=5)),
        }
    ).astype({"timestamp": "Int64"})


@settings(max_examples=25, **NO_ROWS_LEFT_OUT)
@given(
    frame=events(),
    order=st.permutations(range(5)),
    seed=st.integers(0, 99),
    form=st.sampled_from(["csv", "tsv"]),
)
def test_neither_column_order_nor_format_nor_id_type_nor_row_order_matters(
    tmp_path, frame, order, seed, form
):
    """The same events as integers in one table, and as text, shuffled, in two files of another format."""
    reference = loaded(tmp_path, interactions=frame)
    folder = tmp_path / form
    folder.mkdir(exist_ok=True)
    other = (
        frame.iloc[:, list(order)].sample(frac=1, random_state=seed).astype({"user_id": str, "item_id": str})
    )
    separator = {"csv": ",", "tsv": "\t"}[form]
    half = len(other) // 2
    other[:half].to_csv(folder / f"1.{form}", index=False, sep=separator)
    other[half:].to_csv(folder / f"2.{form}", index=False, sep=separator)
    data = loaded(tmp_path, interactions=folder)
    assert histories(data) == histories(reference)
    assert data.manifest["fingerprint"] == reference.manifest["fingerprint"]
    assert data.dated == (not frame["timestamp"].isna().any())


BAD = {
    "missing column": ("user_id,item\na,x\n", r"no column 'item_id'.*--column item_id=item"),
    "null id": ("user_id,item_id\na,x\n,x\n", r"1 bad row: user_id is missing .*\n.*\n.*row 2: user_id=None"),
    "not finite": ("user_id,item_id,rating\na,x,inf\n", "rating is not finite"),
    "wrong type": ("user_id,item_id,rating\na,x,good\n", r"rating is not a number .*\n.*\n.*rating='good'"),
    "ragged": ("user_id,item_id\na,x\na,x,y\n", "has 3 cells, not 2"),
    "empty file": ("", "the file is empty"),
    "no rows": ("user_id,item_id\n", r"there are no events .*no rows"),
    "nothing like it": ("user_id,title\na,x\n", r"no column 'item_id'.*--column item_id=YOUR_COLUMN"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_input_stops_with_its_file(tmp_path: Path, text: str, message: str):
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        prepare(interactions=tmp_path / "f.csv", out=tmp_path / "data")
    assert "f.csv" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["f.csv"]


def test_bad_rows_can_be_dropped_and_are_counted(tmp_path: Path):
    (tmp_path / "f.csv").write_text("user_id,item_id,rating\na,x,1\n,x,1\nb,y,nan\nb,y,2\nb\n")
    items = pd.DataFrame({"item_id": ["x", "x", "y"], "size": [1, 2, 3]})
    data = loaded(tmp_path, interactions=tmp_path / "f.csv", items=items, on_bad_rows="drop")
    assert histories(data) == {"a": [("x", "rating=1", None)], "b": [("y", "rating=2", None)]}
    assert [(d["reason"], d["rows"]) for d in data.manifest["dropped_rows"]] == [
        ("item_id has occurred before", 1),
        ("has 1 cells, not 3", 1),
        ("user_id is missing", 1),
        ("rating is not finite", 1),
    ]
    assert data.items["size"].to_pylist() == [1, 3]


def test_a_data_set_of_other_tables_is_kept_unless_told(tmp_path: Path):
    EVENTS.to_csv(tmp_path / "f.csv", index=False)
    tables = {"interactions": tmp_path / "f.csv", "items": pd.DataFrame({"item_id": ["x"], "size": [1]})}
    out = tmp_path / "data"
    assert prepare(**tables, out=out) == prepare(**tables, out=out)
    with pytest.raises(DataError, match=r"data set of other tables: f.csv, the items table .*--replace"):
        prepare(interactions=tmp_path / "f.csv", out=out)
    assert Dataset.load(out).manifest["item_kinds"] == {"size": "number"}
    prepare(interactions=tmp_path / "f.csv", out=out, replace=True)
    assert Dataset.load(out).manifest["item_kinds"] == {}


def test_dropping_every_row_is_an_error(tmp_path: Path):
    (tmp_path / "f.csv").write_text("user_id,item_id\n,x\n")
    with pytest.raises(DataError, match="All rows were dropped: user_id is missing"):
        prepare(interactions=tmp_path / "f.csv", out=tmp_path / "data", on_bad_rows="drop")


@pytest.mark.parametrize("choice", [{"on_bad_rows": "skip"}, {"engine": "spark"}])
def test_a_wrong_choice_names_the_right_ones(tmp_path: Path, choice: dict[str, str]):
    with pytest.raises(ConfigError, match="Use one of"):
        prepare(interactions=EVENTS, out=tmp_path / "data", **choice)


def test_contents_do_not_depend_on_the_number_of_shards(tmp_path: Path):
    world = checkerboard()
    one = prepare(interactions=world.interactions, out=tmp_path / "one")
    many = prepare(interactions=world.interactions, out=tmp_path / "many", shard_events=100)
    assert (one["shards"], many["shards"]) == (1, 24)
    assert one["fingerprint"] == many["fingerprint"]
    assert histories(Dataset.load(tmp_path / "one")) == histories(Dataset.load(tmp_path / "many"))


def test_other_contents_have_another_fingerprint(tmp_path: Path):
    prints = {
        prepare(interactions=frame, out=tmp_path / "data")["fingerprint"]
        for frame in (EVENTS, EVENTS.assign(rating=5), EVENTS.assign(timestamp=0), EVENTS.assign(item_id="x"))
    }
    assert len(prints) == 4


# folder, own names, users, items, events, signals (names, or the first)
REAL = {
    "ml-1m": ({}, (6040, 3883, 1_000_209), "rating=1"),
    "amazon-electronics-hin": ({}, (6170, 2753, 195_791), "rating=1"),
    "deskdrop": ({"event": "event_type"}, (1895, 2987, 72_312), "BOOKMARK"),
    "lastfm-2k": ({"value": "listen_count"}, (1892, 17_632, 92_834), "value=bin0"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data(tmp_path: Path, shared_data: Path, name: str):
    columns, sizes, first_signal = REAL[name]
    paths = {role: shared_data / name / f"{role}.parquet" for role in ("items", "users", "edges")}
    data = loaded(
        tmp_path,
        interactions=shared_data / name / "interactions.parquet",
        schema=Schema(columns=columns),
        **{role: path for role, path in paths.items() if path.exists()},
    )
    assert (data.n_users, data.n_items, data.histories.n_events) == sizes
    assert data.signals.names[0] == first_signal
    assert data.signals.relevant().any()
    assert data.dated == (name in ("amazon-electronics-hin", "deskdrop"))
    for table, kinds in ((data.items, data.item_kinds), (data.users, data.user_kinds)):
        encoder = FeatureEncoder.fit(table.slice(0, 500), kinds)
        x_NF = encoder.transform(table)
        assert x_NF.shape == (table.num_rows, encoder.n_features)
        assert np.isfinite(x_NF).all()
        assert not kinds or np.count_nonzero(x_NF[500:].any(1)) > 0.5 * (len(x_NF) - 500)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``firstclick prepare`` here: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prepare", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        printed = capsys.readouterr()
        return int(left.value.code or 0), printed.out, printed.err

    return run


def test_the_command_says_what_it_understood(tmp_path: Path, command: Run):
    world = checkerboard(n_users=20)
    world.interactions.rename(columns={"rating": "stars"}).to_csv(tmp_path / "f.csv", index=False)
    world.items.to_parquet(tmp_path / "items.parquet")
    tables = ("--interactions", tmp_path / "f.csv", "--items", tmp_path / "items.parquet")
    code, out, _ = command(*tables, "--column", "rating=stars", "--out", tmp_path / "data")
    assert code == 0
    for expected in ("240, 100% dated", "rating=1, rating=5", "colour (category), size (number)"):
        assert expected in out
    assert Dataset.load(tmp_path / "data").n_users == 20


def test_the_command_wonders_about_columns_called_much_like_what_is_absent(tmp_path: Path, command: Run):
    EVENTS[["user_id", "item_id"]].assign(event_type="VIEW").to_csv(tmp_path / "f.csv", index=False)
    _, out, _ = command("--interactions", tmp_path / "f.csv", "--out", tmp_path / "data")
    assert "--column event=event_type" in " ".join(out.replace("│", "").split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--interactions", "{f}", "--out", "{out}"), 1, "user_id is missing"),
        (("--interactions", "{f}", "--out", "{out}", "--on-bad-rows", "skip"), 2, "is not one of"),
        (("--interactions", "{f}", "--out", "{out}", "--column", "evnt=x"), 2, "unknown column"),
        (("--interactions", "{f}"), 2, "--out"),
    ],
)
def test_the_command_fails_with_one_message_and_its_code(
    tmp_path: Path, command: Run, arguments, code, message
):
    (tmp_path / "f.csv").write_text("user_id,item_id\n,x\n")
    found, _, err = command(*(a.format(f=tmp_path / "f.csv", out=tmp_path / "data") for a in arguments))
    assert found == code
    assert message in err
    assert "Traceback" not in err


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "jobs.prepare", "--help"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=False,
    )
    assert done.returncode == 0
    assert "--on-bad-rows" in done.stdout


def test_small_data_never_wake_ray(tmp_path: Path):
    code = (
        "import sys; from engine.data.sources.checkerboard import checkerboard;"
        "from jobs.prepare import prepare;"
        f"prepare(interactions=checkerboard().interactions, out={str(tmp_path / 'data')!r});"
        "sys.exit('ray' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_cluster_gives_the_same_data_set(tmp_path: Path):
    """Five files, bad rows among them, many shards; everything but the place of work is equal."""
    world = checkerboard(noise=0.2)
    frame = world.interactions.assign(event="SEEN").astype({"rating": "float64"})
    frame.loc[::7, "timestamp"] = None
    frame.loc[::11, "rating"] = None
    frame.loc[5, "user_id"] = None
    (tmp_path / "events").mkdir()
    for part in range(5):
        frame[part::5].to_parquet(tmp_path / "events" / f"{part}.parquet", index=False)
    given = {"interactions": tmp_path / "events", "items": world.items, "users": world.users}
    options = {"on_bad_rows": "drop", "shard_events": 300}
    local = prepare(**given, **options, engine="local", out=tmp_path / "local")
    on_ray = prepare(**given, **options, engine="ray", out=tmp_path / "ray")
    assert local == on_ray
    assert local["shards"] == 8
    one, two = Dataset.load(tmp_path / "local"), Dataset.load(tmp_path / "ray")
    assert histories(one) == histories(two)
    assert one.items.equals(two.items)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_cluster_reports_bad_input_as_plainly(tmp_path: Path):
    (tmp_path / "f.csv").write_text("user_id,item\na,x\n")
    with pytest.raises(DataError, match=r"no column 'item_id'.*--column item_id=item"):
        prepare(interactions=tmp_path / "f.csv", out=tmp_path / "data", engine="ray")


def test_edges_become_features_of_what_they_describe(tmp_path: Path):
    friends = [("1", "friend", "2"), ("2", "friend", "10"), ("77", "friend", "10")]
    edges = pd.DataFrame(
        [*friends, ("7", "genre", "war"), ("9", "genre", "art"), ("9", "genre", "war"), ("x", "is", "y")],
        columns=["src", "relation", "dst"],
    )
    users = pd.DataFrame({"user_id": ["10", "2", "1", "77"], "age": [30, 40, 50, 60]})
    data = loaded(tmp_path, interactions=EVENTS, users=users, edges=edges)
    assert data.user_kinds == {"age": "number", "friend": "tags"}
    people = dict(zip(data.user_ids, data.users["friend"].to_pylist(), strict=True))
    assert people == {"1": ["2"], "2": ["1", "10"], "10": ["2", "77"]}
    assert data.item_kinds == {"genre": "tags"}
    assert dict(zip(data.item_ids, data.items["genre"].to_pylist(), strict=True)) == {
        "7": ["war"],
        "9": ["art", "war"],
    }
    assert {name: about["unused"] for name, about in data.manifest["relations"].items()} == {
        "friend": 0,
        "genre": 0,
        "is": 1,
    }


def test_edges_are_told_what_they_describe_and_those_of_no_use_are_shown(tmp_path: Path, command: Run):
    EVENTS.to_csv(tmp_path / "events.csv", index=False)
    pd.DataFrame({"src": ["1", "x"], "relation": ["knows", "knows"], "dst": ["a", "b"]}).to_csv(
        tmp_path / "edges.csv", index=False
    )
    arguments = ["--interactions", tmp_path / "events.csv", "--edges", tmp_path / "edges.csv"]
    code, out, _ = command(*arguments, "--out", tmp_path / "data")
    assert code == 0
    shown = " ".join(out.split())
    assert "knows: 2 (not used)" in shown
    assert '"knows" = "users" under [edges]' in " ".join(shown.replace("│", " ").split())
    (tmp_path / "schema.toml").write_text('[edges]\n"knows" = "users"\n')
    code, out, _ = command(*arguments, "--out", tmp_path / "data", "--schema", tmp_path / "schema.toml")
    assert code == 0
    assert "knows: 2, its src users (1 at none of them)" in " ".join(out.split())
    assert Dataset.load(tmp_path / "data").user_kinds == {"knows": "tags"}


def test_a_schema_with_relations_but_no_edges(tmp_path: Path):
    schema = Schema(relations={"friend": "users"})
    with pytest.raises(DataError, match=r"relation 'friend', which is not there.*relations are none"):
        prepare(interactions=EVENTS, schema=schema, out=tmp_path / "data")
