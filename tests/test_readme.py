"""What the README tells people to type is typed: blocks marked as runnable run in their order in one folder.

A block of shell or Python is marked by a comment, which a reader of the page does not see, on the line above:

    <!-- runnable -->          it ends by itself, with exit code 0
    <!-- runnable: serves -->  it stays: what follows waits until /readyz answers; stopped at the end
    <!-- runnable: submits --> it needs a cluster: tests/jobs/test_submit.py types it

The folder holds events.parquet, items.parquet and users.parquet, small and made up, with items 50 and 181,
and the shipped tune_configs and serve_apps. Instead of port 8000 a free one is used.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.data.sources.checkerboard import checkerboard
from tests.ports import free_port

PROJECT = Path(__file__).parents[1]
MARKED = re.compile(
    r"^<!-- runnable(: (?P<how>serves|submits))? -->\n```(?P<kind>sh|python)\n(?P<code>.*?)^```$",
    re.M | re.S,
)
SECONDS = 280


@dataclass(frozen=True)
class Block:
    kind: str
    code: str
    how: str | None = None

    def __str__(self) -> str:
        return self.code.split("\n")[0][:40]


def blocks_of(text: str) -> list[Block]:
    found = [Block(m["kind"], m["code"], m["how"]) for m in MARKED.finditer(text)]
    assert len(found) == text.count("<!-- runnable"), "a mark without a block of sh or python below it"
    return found


ALL = blocks_of((PROJECT / "README.md").read_text(encoding="utf-8"))
BLOCKS = [block for block in ALL if block.how != "submits"]


class Reader:
    """Someone who types what the README says, block after block, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.servers: list[subprocess.Popen[bytes]] = []
        self.environment = _environment(folder)

    def type(self, block: Block) -> None:
        (self._serve if block.how == "serves" else self._run)(block)

    def stop(self) -> None:
        """Press Ctrl-C, which Ray's own processes do not hear."""
        for server in self.servers:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(timeout=60)

    def _command(self, block: Block) -> list[str]:
        code = block.code.replace("8000", str(self.port))
        return (
            ["bash", "-euo", "pipefail", "-c", code] if block.kind == "sh" else [sys.executable, "-c", code]
        )

    def _run(self, block: Block) -> None:
        process = subprocess.Popen(
            self._command(block),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # what the shell has started, too
            raise
        assert process.returncode == 0, f"{block.code}\n{out}\n{err}"
        assert "Traceback" not in err

    def _serve(self, block: Block) -> None:
        server = subprocess.Popen(
            self._command(block), cwd=self.folder, env=self.environment, start_new_session=True
        )
        self.servers.append(server)
        until = time.monotonic() + SECONDS
        while not _answers(self.port):
            assert server.poll() is None, f"ended before it answered: {block.code}"
            assert time.monotonic() < until, f"does not answer: {block.code}"
            time.sleep(0.2)


def _environment(folder: Path) -> dict[str, str]:
    """``firstclick`` and ``python`` are those of this test, whether or not the project is installed."""
    programs = folder / ".programs"
    programs.mkdir()
    for name, arguments in (("firstclick", "-c 'from jobs.cli import main; main()'"), ("python", "")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
        script.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT), "RAY_worker_niceness": "0"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("readme")
    tables = checkerboard(n_users=80, n_items=200)
    for table, column in ((tables.interactions, "item_id"), (tables.items, "item_id")):
        table[column] = table[column].str.removeprefix("i").astype(int)
    for shipped in ("tune_configs", "serve_apps"):
        (folder / shipped).symlink_to(PROJECT / shipped)
    tables.items["genre"] = ["Drama", "Comedy"] * 100
    tables.items["title"] = [f"Film number {item}" for item in tables.items["item_id"]]
    tables.interactions.to_parquet(folder / "events.parquet")
    tables.items.to_parquet(folder / "items.parquet")
    tables.users.to_parquet(folder / "users.parquet")
    reading = Reader(folder)
    yield reading
    reading.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_the_readme_says_runs(reader: Reader) -> None:
    for block in BLOCKS:
        reader.type(block)


def test_the_readme_has_what_a_newcomer_needs() -> None:
    typed = "\n".join(block.code for block in ALL)
    commands = "inspect prepare pretrain evaluate report recommend serve tune keys models"
    for command in commands.split():
        assert f"firstclick {command} " in typed
    assert "ray job submit " in typed


def test_marks_are_read_and_a_mark_without_a_block_is_seen() -> None:
    fence = "```"
    text = (
        f"<!-- runnable -->\n{fence}sh\na\nb\n{fence}\n\n{fence}sh\nno\n{fence}\n<!-- runnable: serves -->\n"
    )
    served = f"{fence}sh\nc\n{fence}\n"
    assert blocks_of(text + served) == [Block("sh", "a\nb\n"), Block("sh", "c\n", "serves")]
    with pytest.raises(AssertionError, match="a mark without a block"):
        blocks_of(text)


def test_a_block_that_fails_fails(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="nowhere"):
        reader._run(Block("sh", "firstclick recommend --artifact nowhere\ntrue\n"))


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
