"""Recommends to one person at the terminal, from an artifact on disk.

    firstclick recommend --artifact ARTIFACT --event 50=5 --event 181=4 --explain

Starts nothing; knows nothing of Ray.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from engine import ConfigError, Recommender
from engine.ranking.slate import Slate
from jobs.terminal import console


def recommend_command(
    artifact: Annotated[Path, typer.Option(help="Folder of the artifact.")],
    event: Annotated[
        list[str] | None,
        typer.Option("--event", help="ITEM, ITEM=VALUE or ITEM=EVENT; repeat, oldest first."),
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option("--user", help="FEATURE=VALUE of the person. Repeatable.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of items.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Say which events put each item there.")] = False,
) -> None:
    """Recommend to a person with these events."""
    recommender = Recommender.load(artifact)
    features = dict(_pair(text, "--user") for text in user or [])
    slate = recommender.recommend(
        [read_event(text) for text in event or []], features or None, k=k, explain=explain
    )
    titles = dict(zip(recommender.item_ids, recommender.titles or recommender.item_ids, strict=True))
    console.print(slate_table(slate, titles))
    for ignored in slate.ignored:
        console.print(f"ignored {escape(ignored.item_id)}: {ignored.reason}")
    for name in slate.unknown_features:
        console.print(f"ignored user feature {escape(name)}: the data have none of that name")


def read_event(text: str) -> dict[str, object]:
    """``ITEM``, ``ITEM=4`` or ``ITEM=LIKE``. The last ``=`` counts, so that ids may hold one."""
    item_id, separator, what = text.rpartition("=")
    if not text.strip() or (separator and not item_id):
        raise ConfigError(
            f"'{text}' names no item", where="--event", fix="Write ITEM, ITEM=VALUE or ITEM=EVENT."
        )
    if not separator:
        return {"item_id": text}
    try:
        return {"item_id": item_id, "value": float(what)}
    except ValueError:
        return {"item_id": item_id, "event": what}


def slate_table(slate: Slate, titles: dict[str, str]) -> Table:
    """The slate for people."""
    table = Table(title=f"After {slate.shots} event{'' if slate.shots == 1 else 's'}", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("item")
    table.add_column("title")
    table.add_column("score", justify="right")
    predicted = any(item.prediction is not None for item in slate)
    if predicted:
        table.add_column("prediction", justify="right")
    explained = any(item.because for item in slate)
    if explained:
        table.add_column("because of (effect on the score, rank otherwise)")
    for rank, item in enumerate(slate, start=1):
        row = [str(rank), escape(item.item_id), escape(titles[item.item_id]), f"{item.score:.3f}"]
        if predicted:
            row.append("" if item.prediction is None else f"{item.prediction:.3g}")
        if explained:
            row.append(reasons([(titles[b.item_id], b.score_change, b.rank_without) for b in item.because]))
        table.add_row(*row)
    return table


def reasons(effects: Sequence[tuple[str, float, int]]) -> str:
    """Reasons for people, one a line: what raised the item first, then what it stands there in spite of.

    Args:
        effects: (title of the event, what it did to the score, rank without it).
    """
    ordered = sorted(effects, key=lambda effect: -effect[1])
    lines = []
    for title, change, rank in ordered:
        word = "" if change >= 0 else "despite "
        lines.append(f"{word}{escape(title)} ({change:+.2f}, else #{rank})")
    return "\n".join(lines)


def _pair(text: str, option: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"'{text}' is not FEATURE=VALUE", where=option)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
