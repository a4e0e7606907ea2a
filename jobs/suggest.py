"""What may have been meant by a name that is not known. Knows nothing of where names come from."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

SHOWN = 3
LARGE = 50_000  # items above which ids and titles are only searched for, not compared letter by letter


def close_names(name: str, known: Sequence[str]) -> list[str]:
    """The known names most alike, capitals aside."""
    by_small = {k.lower(): k for k in known}
    return [by_small[near] for near in difflib.get_close_matches(name.lower(), list(by_small), SHOWN)]


def close_items(text: str, titles: Mapping[str, str]) -> list[str]:
    """Items that ``text`` may mean, as ``id (title)``: by the words of their title, then by likeness.

    Args:
        text: an id that is not known, or a title.
        titles: id -> title, of every item.
    """
    words = text.lower().split()
    found = [item for item, title in titles.items() if all(word in title.lower() for word in words)]
    found = sorted(found, key=lambda item: len(titles[item]))[:SHOWN] if words else []
    if len(found) < SHOWN and len(titles) <= LARGE:
        found = list(dict.fromkeys([*found, *_alike(text, titles)]))
    return [_shown(item, titles[item]) for item in found[:SHOWN]]


def _alike(text: str, titles: Mapping[str, str]) -> list[str]:
    ids = difflib.get_close_matches(text, list(titles), SHOWN, 0.75)
    by_title = {title.lower(): item for item, title in titles.items()}
    near = difflib.get_close_matches(text.lower(), list(by_title), SHOWN, 0.75)
    return [*ids, *(by_title[title] for title in near)]


def _shown(item: str, title: str) -> str:
    return item if item == title else f"{item} ({title})"
