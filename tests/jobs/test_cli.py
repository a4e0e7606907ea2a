"""The command line as written in the contract: commands, exit codes, and one clear line for each error."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.main import get_command

from engine.data.sources.checkerboard import checkerboard
from jobs import cli

Run = Callable[..., tuple[int, str, str]]
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def firstclick(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command in an empty folder; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["firstclick", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out, " ".join(err.split())

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkerboard as files: parquet and CSV."""
    folder = tmp_path_factory.mktemp("files")
    tables = checkerboard()
    tables.interactions.to_parquet(folder / "events.parquet")
    tables.items.to_csv(folder / "items.csv", index=False)
    tables.users.to_parquet(folder / "users.parquet")
    return folder


SMALL_RUN = ("--set", "items.dim=8", "--set", "outer.passes=3", "--set", "evaluation.shots=[0,1,5]")


def test_from_files_to_recommendations(firstclick: Run, files: Path, tmp_path: Path) -> None:
    tables = ("--interactions", files / "events.parquet", "--items", files / "items.csv")
    code, out, _ = firstclick("prepare", *tables, "--users", files / "users.parquet", "--out", "data")
    assert code == 0
    assert "2,400" in out
    code, out, _ = firstclick("pretrain", "--data", "data", *SMALL_RUN, "--out", "artifact")
    assert (code, "pass 3/3" in out) == (0, True)
    code, out, _ = firstclick("evaluate", "--artifact", "artifact", "--data", "data", "--out", "quality")
    assert code == 0
    assert all(name in out for name in ("firstclick", "popularity", "item-kNN", "EASE", "iALS"))
    assert (tmp_path / "quality" / "quality.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((tmp_path / "quality" / "quality.json").read_text())) == 1
    code, out, _ = firstclick(
        "recommend", "--artifact", "artifact", "--event", "i2=5", "--event", "i4=5", "-k", 3, "--explain"
    )
    assert code == 0
    assert "because" in out


def test_recommend_reports_what_it_ignored(firstclick: Run, checkerboard_artifact: Path) -> None:
    code, out, _ = firstclick("recommend", "--artifact", checkerboard_artifact, "--event", "nowhere=5")
    assert (code, "ignored nowhere: not in the catalogue" in out) == (0, True)


def test_events_are_read_with_value_name_or_alone() -> None:
    from jobs.recommend import read_event

    assert read_event("a") == {"item_id": "a"}
    assert read_event("a=4.5") == {"item_id": "a", "value": 4.5}
    assert read_event("a=LIKE") == {"item_id": "a", "event": "LIKE"}
    assert read_event("a=b=LIKE") == {"item_id": "a=b", "event": "LIKE"}


def test_reasons_that_raise_an_item_come_first() -> None:
    from jobs.recommend import reasons

    assert reasons([("A", -0.5, 2), ("B", 0.25, 7)]) == "B (+0.25, else #7)\ndespite A (-0.50, else #2)"


@pytest.mark.parametrize("prediction", [None, 0.0412])
def test_a_slate_shows_predictions_where_there_are_any(prediction: float | None) -> None:
    from rich.console import Console

    from engine.ranking.slate import Recommendation, Slate
    from jobs.recommend import slate_table

    console = Console(record=True, width=100, file=io.StringIO())
    console.print(slate_table(Slate((Recommendation("a", 1.5, (), prediction),), 0, ()), {"a": "A"}))
    text = console.export_text()
    assert ("prediction" in text) == ("0.0412" in text) == (prediction is not None)


def test_prepare_hints_at_what_may_not_be_meant(firstclick: Run, tmp_path: Path) -> None:
    events = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "event": ["buy", "see"], "value": 1})
    events.to_csv("events.csv", index=False)
    pd.DataFrame({"item_id": ["X", "y"], "colour": ["red", "blue"]}).to_csv("items.csv", index=False)
    code, out, _ = firstclick(
        "prepare", "--interactions", "events.csv", "--items", "items.csv", "--out", "data"
    )
    said = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert "2 events have a number and a name" in said
    assert "1 items with events do not occur in the items table" in said


def test_version_and_help(firstclick: Run) -> None:
    assert firstclick("--version")[:2] == (0, "firstclick 0.1.0\n")
    for command in cli.app.registered_commands:
        code, out, _ = firstclick(command.name, "--help")
        assert (code, "Usage" in out) == (0, True)
        assert f"firstclick {command.name}" in out.partition("Examples")[2]


def test_every_command_has_an_example() -> None:
    def without(command: Any, name: str) -> Iterator[str]:
        for below, one in getattr(command, "commands", {}).items():
            yield from without(one, f"{name} {below}")
        if name not in (command.epilog or ""):
            yield name

    assert list(without(get_command(cli.app), "firstclick")) == []


def test_help_and_completion_import_nothing_slow() -> None:
    code = (
        "import sys; from jobs import cli, terminal\n"
        "sys.exit(str({'torch', 'ray', 'numpy', 'pandas', 'pyarrow'} & {*sys.modules} or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT, capture_output=True)
    assert (done.returncode, done.stderr) == (1, b"\n")


def test_the_shell_completes_commands_and_configuration_keys() -> None:
    def complete(words: str) -> str:
        code = "from jobs.cli import main; main()"
        shell = {"_FIRSTCLICK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": words.count(" ")}
        program = f"import sys; sys.argv = ['firstclick']; {code}"
        environment = {**os.environ, **{key: str(value) for key, value in shell.items()}}
        done = subprocess.run(
            [sys.executable, "-c", program], check=False, cwd=PROJECT, capture_output=True, env=environment
        )
        return done.stdout.decode()

    assert "prepare" in complete("firstclick pre")
    assert "items.dim=" in complete("firstclick pretrain --set items.d")


def test_for_machines_and_for_nobody(
    firstclick: Run, checkerboard_artifact: Path, checkerboard_data: Path, files: Path
) -> None:
    ask = ("recommend", "--artifact", checkerboard_artifact, "--event", "i2=5", "-k", 3, "--explain")
    answer = json.loads(firstclick(*ask, "--json")[1])
    assert len(answer["items"]) == 3
    assert answer["items"][0]["because"][0]["item_id"] == "i2"
    measure = ("evaluate", "--artifact", checkerboard_artifact, "--data", checkerboard_data)
    (report,) = json.loads(firstclick(*measure, "--json")[1])
    means = {method: figures["ndcg@10"]["5"][0] for method, figures in report["means"].items()}
    assert means["firstclick"] > means["popularity"]
    make = ("prepare", "--interactions", files / "events.parquet", "--out", "data")
    assert json.loads(firstclick(*make, "--json")[1])["counts"]["events"] == 2400
    assert firstclick(*make, "--quiet")[1:] == ("", "")
    assert firstclick("inspect", files / "events.parquet", "--quiet") == (0, "", "")
    page = ("report", "--artifact", checkerboard_artifact, "--out", "page.html")
    assert json.loads(firstclick(*page, "--json")[1])["report"] == "page.html"
    train = ("pretrain", "--data", "data", *SMALL_RUN, "--out", "artifact")
    assert firstclick(*train, "--quiet") == (0, "", "")
    assert "artifact artifact" in firstclick(*train)[1]  # quiet once, not for ever


def test_what_may_have_been_meant() -> None:
    from jobs.suggest import close_items, close_names

    titles = {"50": "Star Wars (1977)", "181": "Return of the Jedi (1983)", "i7": "i7"}
    assert close_items("star wars", titles) == ["50 (Star Wars (1977))"]
    assert close_items("Return of teh Jedi (1983)", titles) == ["181 (Return of the Jedi (1983))"]
    assert close_items("i77", titles) == ["i7"]
    assert close_items("nothing of the kind", titles) == []
    assert close_names("Gendr", ["age", "gender"]) == ["gender"]


def test_an_unknown_item_or_feature_is_told_with_what_is_near(
    firstclick: Run, checkerboard_artifact: Path
) -> None:
    out = firstclick(
        "recommend", "--artifact", checkerboard_artifact, "--event", "i222=5", "--user", "agee=3"
    )[1]
    assert "ignored i222: not in the catalogue; did you mean i22" in out
    assert "did you mean age?" in out


def test_no_colours_where_there_is_no_terminal(firstclick: Run, checkerboard_artifact: Path) -> None:
    _, out, err = firstclick("recommend", "--artifact", checkerboard_artifact, "--event", "i2=5")
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("pretrain", "--data", "nowhere", "--out", "a"), 1, "no such data set (nowhere)"),
        (("pretrain", "--data", "d", "--out", "a", "--set", "items.dmi=3"), 2, "Did you mean items.dim"),
        (("pretrain", "--data", "d", "--out", "a", "--config", "c.toml"), 2, "cannot read the configuration"),
        (("pretrain", "--data", "d", "--out", "a", "--workers", "-1"), 2, "workers"),
        (("pretrain", "--out", "a"), 2, "--data"),
        (("evaluate", "--artifact", "nowhere", "--data", "d"), 1, "no artifact here (nowhere)"),
        (("recommend", "--artifact", "nowhere"), 1, "no artifact here (nowhere)"),
        (("serve", "--artifact", "nowhere"), 1, "no artifact here"),
        (("prepare", "--interactions", "nowhere.parquet", "--out", "d"), 1, "nowhere.parquet"),
        (("prepare", "--out", "d"), 2, "--interactions"),
        (("nonsense",), 2, "nonsense"),
        (("prepair",), 2, "Did you mean 'prepare'"),
        (("prepare", "--interaction", "x"), 2, "--interactions"),
        (("inspect",), 2, "no files are given"),
        (("report", "--artifact", "nowhere"), 1, "no artifact here (nowhere)"),
    ],
)
def test_a_wrong_call_has_its_exit_code_and_says_what(
    firstclick: Run, arguments: tuple[str, ...], code: int, message: str
) -> None:
    got, _, err = firstclick(*arguments)
    assert got == code
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-k", "0"), "k = 0"),
        (("--event", "i1=LIKE"), "LIKE"),
        (("--event", "=5"), "names no item"),
        (("--user", "age"), "'age' is not FEATURE=VALUE"),
        (("--user", "age=old"), "age"),
    ],
)
def test_a_wrong_question(
    firstclick: Run, checkerboard_artifact: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = firstclick("recommend", "--artifact", checkerboard_artifact, *arguments)
    assert code == 2
    assert message in err


def test_evaluating_on_other_data_is_refused(
    firstclick: Run, checkerboard_artifact: Path, files: Path, tmp_path: Path
) -> None:
    firstclick("prepare", "--interactions", files / "events.parquet", "--out", "other")
    code, _, err = firstclick("evaluate", "--artifact", checkerboard_artifact, "--data", "other")
    assert (code, "trained on another data set" in err) == (1, True)


def test_a_broken_artifact_is_refused(firstclick: Run, checkerboard_artifact: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkerboard_artifact, tmp_path / "copy")
    with (copy / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    code, _, err = firstclick("recommend", "--artifact", copy)
    assert (code, "weights.safetensors is not the file that was saved" in err) == (1, True)
