"""Jobs as they are meant to run: submitted to a cluster of its own, guarded by a token."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray._private.runtime_env.packaging import create_package, get_excludes_from_ignore_files

from engine.artifact import load_artifact
from engine.data.sources.checkerboard import checkerboard
from tests.ports import free_port
from tests.processes import descendants, left_of
from tests.small import SMALL
from tests.test_readme import ALL as README

PROJECT = Path(__file__).parents[2]
MOST_BYTES = 3 * 2**20


def test_the_working_directory_carries_no_data_and_no_environment(tmp_path: Path) -> None:
    """A copy of the project with what people have lying about in it."""
    copy = tmp_path / "project"
    skip = shutil.ignore_patterns(
        ".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "runs"
    )
    shutil.copytree(PROJECT, copy, ignore=skip)
    for litter in (
        ".venv/lib/torch.so",
        "data/events.bin",
        "runs/r/training.pt",
        "artifact/weights.safetensors",
    ):
        (copy / litter).parent.mkdir(parents=True, exist_ok=True)
        (copy / litter).write_bytes(secrets.token_bytes(8 * 2**20))
    assert get_excludes_from_ignore_files(copy, include_gitignore=True)
    package = tmp_path / "package.zip"
    create_package(str(copy), package, include_gitignore=True)
    assert 100_000 < package.stat().st_size < MOST_BYTES


@pytest.fixture
def cluster() -> Iterator[dict[str, str]]:
    """`ray start --head` with a token; gives the environment of who may use it."""
    port, dashboard, client, agent = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory(prefix="fc", ignore_cleanup_errors=True) as folder:
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {
            **os.environ,
            **token,
            "PATH": path,
            "RAY_worker_niceness": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        env.pop("RAY_ADDRESS", None)
        ports = [f"--port={port}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        where = [
            f"--dashboard-agent-listen-port={agent}",
            f"--temp-dir={folder}",
            "--dashboard-host=127.0.0.1",
        ]
        ray = str(Path(sys.executable).with_name("ray"))
        head = [ray, "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats", *ports, *where]
        process = subprocess.Popen(head, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(dashboard, process)
            yield {**env, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}"}
        finally:
            below = descendants(process.pid)
            process.kill()
            process.wait(60)
            for pid in left_of(below, 0):
                os.kill(pid, signal.SIGKILL)  # asked to end, Ray takes half a minute


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        assert process.poll() is None, "ray start ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError("the dashboard did not come up")


def submit(env: dict[str, str], *entry: object, code: int = 0) -> list[dict[str, object]]:
    """Run a job to its end; returns the lines of JSON it has said."""
    command = ["ray", "job", "submit", "--working-dir", ".", "--", "python", "-m", *map(str, entry)]
    return typed(env, command, code)


def typed(env: dict[str, str], command: list[str], code: int = 0) -> list[dict[str, object]]:
    """The same for a whole command. A cluster that just started takes no jobs."""
    end = time.monotonic() + 240
    while True:
        done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
        if "No available agent" not in done.stderr or time.monotonic() > end:
            break
        time.sleep(2)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"time"')]


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_prepare_pretrain_evaluate_and_tune_as_jobs(cluster: dict[str, str], tmp_path: Path) -> None:
    tables = checkerboard()
    tables.interactions.to_parquet(tmp_path / "events.parquet")
    data, artifact = tmp_path / "data", tmp_path / "artifact"
    said = submit(cluster, "jobs.prepare", "--interactions", tmp_path / "events.parquet", "--out", data)
    assert [line["event"] for line in said] == ["prepared"]
    sets = [word for option in (*SMALL, "outer.passes=3") for word in ("--set", option)]
    (block,) = (block.code for block in README if block.how == "submits")
    command = shlex.split(block.replace("\\\n", " ").replace("/mnt/firstclick", str(tmp_path)))
    said = typed(cluster, [*command, *sets])
    assert [line["event"] for line in said] == ["start", "pass", "pass", "pass", "artifact"]
    assert load_artifact(artifact).manifest["version"] == said[-1]["version"]
    assert list((tmp_path / "runs").glob("*/checkpoint_*/training.pt"))
    said = submit(cluster, "jobs.evaluate", "--artifact", artifact, "--data", data)
    assert said[0]["event"] == "quality"
    search, out = PROJECT / "tune_configs" / "search" / "smoke.toml", tmp_path / "sweep"
    submit(cluster, "jobs.tune", "--data", data, "--search", search, "--out", out, "--trials", 2, *sets)
    assert load_artifact(out / "artifact").manifest["quality"]
    without = {key: value for key, value in cluster.items() if key != "RAY_AUTH_TOKEN"}
    submit({**without, "RAY_AUTH_TOKEN": secrets.token_hex(32)}, "jobs.prepare", code=1)
