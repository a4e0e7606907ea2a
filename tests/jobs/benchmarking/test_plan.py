"""What a benchmark file may ask for, and how its data sets are made ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import read_manifest
from engine.errors import ConfigError, DataError
from jobs.benchmarking.cell import METHODS
from jobs.benchmarking.data import ready
from jobs.benchmarking.plan import DataSpec, read_plan
from jobs.commands.benchmark import COLD_USERS
from tests.jobs.benchmark_plans import PROTOCOL, plan_of

SHIPPED = sorted((Path(__file__).parents[2] / "tune_configs" / "benchmarks").rglob("*.toml"))


class TestPlan:
    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
    def test_every_shipped_file_is_valid(self, path: Path) -> None:
        assert read_plan(path).data

    def test_the_shipped_one_holds_all_methods_and_keeps_to_the_protocol(self) -> None:
        plan = read_plan(COLD_USERS)
        assert plan.methods == METHODS
        assert {name: (s.query_after, s.shots) for name, s in plan.data.items()} == {
            **dict.fromkeys(["movielens-100k", "ml-1m"], (20, (0, 1, 3, 5, 10, 20))),
            **dict.fromkeys(["amazon-electronics-hin", "deskdrop", "lastfm-2k"], (5, (0, 1, 2, 3, 5))),
        }

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('sedes = [0]\n[data.x]\nprepared = "d"', r"unknown key sedes.*Did you mean seeds"),
            ('[data.x]\nprepared = "d"\nquery_afer = 5', r"query_afer.*data\.x.*Did you mean query_after"),
            ('methods = ["EASY"]\n[data.x]\nprepared = "d"', r"unknown method 'EASY'. Did you mean EASE"),
            ('[data.x]\nprepared = "d"\nsource = "movielens-100k"', r"give one of source, prepared"),
            ("[data.x]\nquery_after = 5", r"data\.x.*give one of source|give one of source.*data\.x"),
            ('[data.x]\nprepared = "d"\nshots = [0, 9]\nquery_after = 5', r"shots 9 exceed query_after"),
            ('[data.x]\nprepared = "d"\nitems = "i"', r"go with interactions"),
            ('[data.x]\nprepared = "d"\norders = ["sideways"]', r"orders"),
            ('seeds = [1, 1]\n[data.x]\nprepared = "d"', r"seeds are listed twice"),
            ('[variants]\nEASE = []\n[data.x]\nprepared = "d"', r"a variant has the name of a method"),
            ("seeds = [0]", r"data: Field required|Field required.*data"),
            ("seeds = [0", r"not valid TOML"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "b.toml").write_text(text)
        with pytest.raises(ConfigError, match=message) as caught:
            read_plan(tmp_path / "b.toml")
        assert "b.toml" in caught.value.where

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot read the benchmark file"):
            read_plan(tmp_path / "none.toml")

    def test_a_part_of_it(self, checkerboard_data: Path) -> None:
        plan = plan_of(checkerboard_data, variants={"small": ["items.dim=4"]})
        part = plan.only(methods=["item-kNN", "small"], seeds=[1])
        assert (part.all_methods, part.seeds, part.data) == (("item-kNN", "small"), (1,), plan.data)
        for asked in ({"data": ["bord"]}, {"methods": ["itemknn"]}, {"seeds": [7]}):
            with pytest.raises(ConfigError, match="the benchmark file has no"):
                plan.only(**asked)

    def test_cells_are_data_by_order_by_seed_by_method(self, checkerboard_data: Path) -> None:
        spec = {"prepared": str(checkerboard_data), **PROTOCOL, "orders": ["time", "random"]}
        cells = list(plan_of(checkerboard_data, data={"board": spec}).cells({"board": checkerboard_data}))
        assert len(cells) == len(set(cells)) == len({c.file_name for c in cells}) == 2 * 2 * 3
        assert str(cells[0]) == "board, time order, seed 0: popularity"
        assert cells[0].config.evaluation.shots == (0, 1, 2, 5)

    def test_the_protocol_stands_above_options_and_variants(self, checkerboard_data: Path) -> None:
        wild = ["episodes.query_after=0", "seed=9", "episodes.order=random", "items.dim=3"]
        plan = plan_of(checkerboard_data, options=wild, variants={"v": [*wild, "items.dim=4"]})
        for cell in plan.cells({"board": checkerboard_data}):
            assert (cell.config.episodes.query_after, cell.order, cell.seed in (0, 1)) == (5, "time", True)
            assert cell.config.items.dim == (4 if cell.method == "v" else 3)

    def test_a_wrong_option_is_named(self, checkerboard_data: Path) -> None:
        plan = plan_of(checkerboard_data, options=["items.dmi=3"])
        with pytest.raises(ConfigError, match=r"items\.dmi.*Did you mean items\.dim"):
            list(plan.cells({"board": checkerboard_data}))


class TestData:
    SPEC: dict[str, Any] = {"interactions": "events.csv", "columns": {"event": "what"}}  # noqa: RUF012

    @pytest.fixture
    def tables(self, tmp_path: Path) -> Path:
        rows = ["user_id,item_id,what", *(f"u{u},i{i},VIEW" for u in range(4) for i in range(3))]
        (tmp_path / "events.csv").write_text("\n".join(rows))
        return tmp_path

    def test_tables_are_prepared_once_until_they_change(self, tables: Path) -> None:
        spec = DataSpec.model_validate(self.SPEC)
        first = ready("x", spec, tables, tables / "store")
        made = (first / "manifest.json").stat().st_mtime_ns
        assert read_manifest(first)["signals"]["names"] == ["VIEW"]
        assert ready("x", spec, tables, tables / "store") == first
        assert (first / "manifest.json").stat().st_mtime_ns == made
        with (tables / "events.csv").open("a") as file:
            file.write("\nu9,i1,LIKE")
        second = ready("x", spec, tables, tables / "store")
        assert second != first
        assert read_manifest(second)["signals"]["names"] == ["LIKE", "VIEW"]

    def test_paths_are_filled_in_from_the_environment(self, tables: Path, monkeypatch) -> None:
        spec = DataSpec.model_validate({**self.SPEC, "interactions": "${SOME_PLACE}/events.csv"})
        with pytest.raises(ConfigError, match="SOME_PLACE"):
            ready("x", spec, Path("nowhere"), tables / "store")
        monkeypatch.setenv("SOME_PLACE", str(tables))
        assert ready("x", spec, Path("nowhere"), tables / "store").is_dir()

    def test_missing_tables_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"events\.csv"):
            ready("x", DataSpec.model_validate(self.SPEC), tmp_path, tmp_path / "store")

    def test_time_order_needs_times(self, tables: Path) -> None:
        folder = ready("x", DataSpec.model_validate(self.SPEC), tables, tables / "store")
        with pytest.raises(ConfigError, match="only a part of the events is dated"):
            list(plan_of(folder).cells({"board": folder}))
