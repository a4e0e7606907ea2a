"""``inspect`` tells what prepare will make of tables, and what it would refuse, without a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.data.sources.checkerboard import checkerboard
from engine.data.tables.schema import Schema, read_schema
from jobs.inspection.findings import Inspection
from jobs.inspection.look import inspect
from jobs.inspection.proposal import next_command, schema_text
from jobs.prepare import prepare

PROJECT = Path(__file__).parents[2]
OWN = {"user_id": "personId", "item_id": "movie", "rating": "stars", "timestamp": "when"}


@pytest.fixture
def own_names(tmp_path: Path) -> Path:
    """The checkerboard under names of its own, an item called otherwise in each of two tables."""
    folder = tmp_path / "tables"
    folder.mkdir()
    tables = checkerboard()
    tables.interactions.rename(columns=OWN).to_csv(folder / "ratings.csv", index=False)
    tables.items.rename(columns={"item_id": "id"}).to_parquet(folder / "movies.parquet")
    tables.users.rename(columns={"user_id": "personId"}).to_parquet(folder / "people.parquet")
    return folder


def whats(found: Inspection) -> str:
    return "\n".join(f"{p.where}: {p.what} {p.fix} {p.rows}" for p in found.problems)


def test_what_it_understands_is_what_prepare_makes(own_names: Path, tmp_path: Path) -> None:
    found = inspect([str(own_names)])
    assert not found.problems
    assert found.events is not None
    (tmp_path / "dataset.toml").write_text(schema_text(found))
    manifest = prepare(
        interactions=own_names / "ratings.csv",
        items=own_names / "movies.parquet",
        users=own_names / "people.parquet",
        schema=read_schema(tmp_path / "dataset.toml"),
        out=tmp_path / "data",
    )
    assert manifest["counts"] == found.about["counts"]
    assert manifest["counts"]["items_without_features"] == 0
    assert manifest["signals"]["names"] == [signal.name for signal in found.events.signals]
    assert manifest["dated_share"] == found.events.dated_share == 1
    for role in ("item", "user"):
        assert manifest[f"{role}_kinds"] == found.kinds[f"{role}s"]
    rated = checkerboard().interactions["rating"].value_counts()
    assert {s.name: s.count for s in found.events.signals} == {f"rating={k}": n for k, n in rated.items()}
    assert [s.name for s in found.events.signals if s.wanted] == ["rating=5"]


def test_a_table_is_known_by_the_ids_it_shares_with_the_events(tmp_path: Path) -> None:
    tables = checkerboard()
    tables.interactions.rename(columns=OWN).to_parquet(tmp_path / "clicks.parquet")
    strange = tables.items.rename(columns={"item_id": "aid"}).assign(rank=range(len(tables.items)))
    strange.to_parquet(tmp_path / "things.parquet")
    pd.DataFrame({"day": [1, 2], "rain": [0.1, 0.2]}).to_csv(tmp_path / "weather.csv", index=False)
    found = inspect([str(tmp_path)])
    assert found.schema.columns["items.item_id"] == "aid"
    assert found.about["counts"]["items_without_features"] == 0
    assert [problem.where for problem in found.problems] == [str(tmp_path / "weather.csv")]
    given = {"interactions": str(tmp_path / "clicks.parquet"), "items": str(tmp_path / "things.parquet")}
    assert inspect([], given).schema.columns == found.schema.columns


def test_the_next_command_runs(own_names: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    from jobs import cli

    command = next_command(inspect([str(own_names)]))
    assert command is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [*shlex.split(command), "--quiet"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert (tmp_path / "data" / "manifest.json").is_file()


def test_several_files_make_one_table_and_one_source(tmp_path: Path) -> None:
    events = checkerboard().interactions
    for day, part in enumerate(np.array_split(np.arange(len(events)), 3)):
        events.iloc[part].to_parquet(tmp_path / f"events-{day}.parquet")
    checkerboard().items.to_csv(tmp_path / "items.csv", index=False)
    found = inspect([str(tmp_path)])
    assert found.events is not None
    assert found.events.count == len(events)
    assert f"--interactions '{tmp_path}/*.parquet' --items {tmp_path}/items.csv" in str(next_command(found))


BROKEN = {
    "empty.csv": ("", "columns are"),
    "ratings.csv": ("user_id,item_id,rating\na,x,5\nb,,4\nc,y,much\n", "item_id is missing: 1 of 3 rows"),
    "ragged.csv": ("user_id,item_id\na,x\na,y,z\n", "has 3 cells, not 2"),
    "late.csv": ("user_id,item_id,time\na,x,1600000000000\n", "milliseconds"),
    "broken.parquet": ("PAR1", "is not a parquet file"),
    "twice.csv": ("user_id,item_id,item_id\na,x,y\n", "occurs twice"),
    "latin.csv": ("user_id,item_id\na,\udce9\n", "UTF-8"),
    "other.csv": ("day,rain\n1,2\n", "not clear what the table holds"),
    "items.csv": ("item_id,price\n1,2\n2,3\n3,n/a\n4,5\n", "row 3: price='n/a'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    found = inspect([str(tmp_path)])
    assert found.stops
    assert message in whats(found)
    assert name in whats(found)


def test_a_name_that_no_table_has_is_told(own_names: Path) -> None:
    found = inspect([str(own_names)], schema=Schema().with_columns(["rating=starz"]))
    assert found.stops
    assert "no table has a column 'starz' Did you mean rating=stars?" in whats(found)


def test_one_broken_table_does_not_hide_the_others(own_names: Path) -> None:
    (own_names / "people.parquet").write_text("PAR1")
    found = inspect([str(own_names)])
    assert {table.role for table in found.tables} == {"interactions", "items"}
    assert found.events is not None
    assert found.stops


def test_a_large_table_is_read_in_part_and_says_so(tmp_path: Path) -> None:
    n = 50_000
    rng = np.random.default_rng(0)
    table = pa.table({"user_id": np.sort(rng.integers(0, 999, n)), "item_id": rng.integers(0, 99, n)})
    pq.write_table(table, tmp_path / "events.parquet", row_group_size=1000)
    found = inspect([str(tmp_path)], rows=4000)
    (seen,) = found.tables
    assert (seen.rows, seen.rows_read, seen.whole) == (n, 4000, False)
    assert found.events is not None
    assert found.about["counts"]["items_without_events"] == 0


def test_kinds_that_are_told_stay(own_names: Path) -> None:
    found = inspect([str(own_names)], schema=Schema(item_kinds={"colour": "text"}))
    assert found.kinds["items"]["colour"] == "text"
    found = inspect([str(own_names)], schema=Schema(item_kinds={"color": "text"}))
    assert "Did you mean 'colour'" in whats(found)


CASES = {
    "ml-1m": ({}, 1_000_209, {"directed_by", "has_actor", "has_genre"}),
    "amazon-electronics-hin": ({}, 195_791, {"also_viewed_group"}),
    "deskdrop": ({"event": "event_type"}, 72_312, set()),
    "lastfm-2k": ({"value": "listen_count"}, 92_834, {"friend"}),
}


@pytest.mark.parametrize("name", CASES)
def test_real_data(name: str, shared_data: Path) -> None:
    own, events, relations = CASES[name]
    found = inspect([str(shared_data / name)], rows=30_000)
    assert not found.stops
    assert found.guessed == own
    table = found.table("interactions")
    assert table is not None
    assert table.rows == events
    assert set(found.about["relations"]) == relations


def test_it_loads_neither_torch_nor_ray_and_prints_json(own_names: Path) -> None:
    code = (
        "import sys; from jobs.cli import app\n"
        f"try: app(['inspect', {str(own_names)!r}, '--json'])\n"
        "except SystemExit as stop: code = stop.code\n"
        "sys.exit(code or any(m in sys.modules for m in ('torch', 'ray', 'scipy', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT, capture_output=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ready"]
    assert told["columns"] == {**OWN, "items.item_id": "id"}
    assert told["next"].startswith("firstclick prepare --interactions ")


def test_without_files_it_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = inspect([str(tmp_path / "nowhere")])
    assert "no such file" in whats(found)
    pd.DataFrame({"item_id": [1, 2]}).to_csv(tmp_path / "items.csv")
    assert "none of the tables holds events" in whats(inspect([str(tmp_path)]))
