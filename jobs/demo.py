"""The main job on real data, from nothing: fetch, prepare, pretrain, compare, serve, ask.

    firstclick demo [--once]

Trains under Ray Train and serves with Ray Serve on the same local cluster. Knows nothing of how serving
works: what starts a server is handed in.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from rich.markup import escape
from rich.table import Table

from engine.artifact import load_artifact
from engine.config import load_config
from engine.data.dataset import Dataset
from engine.data.sources.movielens import MOVIELENS_NOTICE, movielens_100k
from engine.evaluation.report import terminal_table
from engine.evaluation.results import Report
from engine.learning.experiment import set_up
from jobs.cluster import attach
from jobs.evaluate import compare, save_reports
from jobs.prepare import prepare
from jobs.pretrain import pretrain
from jobs.recommend import reasons
from jobs.terminal import console

LIKES = ("14", "213", "275")
SEEDS = (0, 1, 2)


class Server(Protocol):
    @property
    def url(self) -> str: ...


Serving = Callable[..., AbstractContextManager[Server]]


def demo(
    folder: Path,
    movielens: Path | None,
    workers: int,
    port: int,
    serving: Serving,
    until: Callable[[], None],
) -> None:
    """Run the demo.

    Args:
        folder: where data, runs and artifacts go.
        movielens: a folder with MovieLens-100k, or None to fetch it.
        workers: of Ray Train; 0 trains in this process.
        port: of the server.
        serving: starts a server, as ``serve_apps.local.serving`` does.
        until: returns when the server should stop.
    """
    started = time.perf_counter()
    attach()
    data = _prepare(folder / "data", movielens)
    reports = [_train_and_compare(data, folder, seed, workers) for seed in SEEDS]
    _show(reports, folder)
    console.rule("[bold]serving")
    with serving(str(folder / f"artifact-{SEEDS[0]}"), port=port) as server:
        _ask(server.url)
        console.print(f"done in {time.perf_counter() - started:.0f} s; serving on [bold]{server.url}[/]")
        console.print(f"documentation: {server.url}/docs")
        until()


def _prepare(out: Path, movielens: Path | None) -> Path:
    console.rule("[bold]data")
    tables = movielens_100k(movielens)
    console.print(f"{tables.origin}\n[dim]{MOVIELENS_NOTICE}[/]")
    prepare(interactions=tables.interactions, items=tables.items, users=tables.users, out=out)
    return out


def _train_and_compare(data: Path, folder: Path, seed: int, workers: int) -> Report:
    """One split of users: meta-learn on most of them, compare on people it has never seen."""
    console.rule(f"[bold]split {seed + 1} of {len(SEEDS)}")
    overrides = [f"seed={seed}", "episodes.order=random", f"train.workers={workers}"]
    config = load_config(None, ["episodes.query_after=20", *overrides])
    artifact = folder / f"artifact-{seed}"
    pretrain(data, artifact, config, folder / "runs", replace=True)
    return compare(set_up(Dataset.load(data), config), load_artifact(artifact).model)


def _show(reports: Sequence[Report], folder: Path) -> None:
    console.rule("[bold]quality")
    console.print(terminal_table(reports))
    console.print(f"plot: {save_reports({'': reports}, folder)}")


def _ask(url: str) -> None:
    """Ask for recommendations for a person with three likes, and show why."""
    body = {"events": [{"item_id": item, "value": 5} for item in LIKES], "k": 5, "explain": True}
    console.print(f"POST {url}/v1/recommend  {escape(json.dumps(body))}")
    answer = _post(f"{url}/v1/recommend", body)
    table = Table(title="for a person with three likes", title_justify="left")
    for column in ("#", "recommended", "because of (effect on the score, rank otherwise)"):
        table.add_column(column)
    for rank, item in enumerate(answer["items"], start=1):
        effects = [(_name(b), b["score_change"], b["rank_without"]) for b in item["because"]]
        table.add_row(str(rank), escape(_name(item)), reasons(effects))
    console.print(table)
    console.print(f"model {answer['model_version']}, adapted and ranked in {answer['latency_ms']:.1f} ms")


def _name(item: dict[str, Any]) -> str:
    """The title of an item of an answer, where it has one."""
    return str(item.get("title", item["item_id"]))


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return dict(json.load(response))
