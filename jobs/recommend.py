"""What is said and answered at the terminal: events and features as text, the slate as a table or JSON.

Starts nothing; knows nothing of Ray or of options.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from engine.errors import ConfigError
from engine.ranking.slate import Slate
from jobs.suggest import close_items, close_names


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


def slate_json(slate: Slate, titles: Mapping[str, str]) -> dict[str, Any]:
    """The slate for machines."""
    items = [
        item._asdict() | {"because": list(map(asdict, item.because)), "title": titles[item.item_id]}
        for item in slate
    ]
    ignored = [asdict(ignored) for ignored in slate.ignored]
    unknown = list(slate.unknown_features)
    return {"items": items, "shots": slate.shots, "ignored_events": ignored, "unknown_features": unknown}


def remarks(slate: Slate, titles: Mapping[str, str], features: Sequence[str]) -> Iterator[str]:
    """What of the question did not count, and what may have been meant.

    Args:
        titles: of all items, by id.
        features: that the data know of a person.
    """
    for ignored in slate.ignored:
        near = [] if ignored.item_id in titles else close_items(ignored.item_id, titles)
        yield f"ignored {escape(ignored.item_id)}: {ignored.reason}{_meant(near)}"
    for name in slate.unknown_features:
        near = close_names(name, features)
        yield f"ignored user feature {escape(name)}: the data have none of that name{_meant(near)}"


def _meant(near: Sequence[str]) -> str:
    return f"; did you mean {escape(' or '.join(near))}?" if near else ""


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


def read_feature(text: str) -> tuple[str, object]:
    """``age=31``: JSON where it is such, else text."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"'{text}' is not FEATURE=VALUE", where="--user")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
