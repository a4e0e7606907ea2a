"""``firstclick recommend``: options and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.terminal import AsJson, console, examples, print_json

EXAMPLES = examples(
    "firstclick recommend --artifact artifact --event 50=5 --event 181=4 --explain",
    "firstclick recommend --artifact artifact --event 50=LIKE --user age=31 -k 20",
    "firstclick recommend --artifact artifact --event 50 --json | jq -r '.items[].item_id'",
)


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
    as_json: AsJson = False,
) -> None:
    """Recommend to a person with these events."""
    from engine import Recommender
    from jobs.recommend import read_event, read_feature, remarks, slate_json, slate_table

    recommender = Recommender.load(artifact)
    features = dict(read_feature(text) for text in user or [])
    events = [read_event(text) for text in event or []]
    slate = recommender.recommend(events, features or None, k=k, explain=explain)
    titles = dict(zip(recommender.item_ids, recommender.titles or recommender.item_ids, strict=True))
    if as_json:
        print_json(slate_json(slate, titles))
        return
    console.print(slate_table(slate, titles))
    for remark in remarks(slate, titles, sorted(recommender.user_kinds)):
        console.print(remark)
