"""Finds catalogue items by id or by words of their title.

Knows nothing of the recommender or of HTTP. All titles are kept as one folded text, a line an item: a search
is then a few scans for a substring by the runtime's own string search. Without an index that takes a few
milliseconds for a hundred thousand titles, tens for a million.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice

_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_SPACE = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^\w\n]+")
_LINE_EDGE = re.compile(r" ?\n ?")


def fold(text: str) -> str:
    """Lower case, no accents, punctuation as spaces, line breaks stay: ``Amélie!`` as ``amelie``."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return _LINE_EDGE.sub("\n", _NOT_WORD.sub(" ", plain)).strip(" ")


def _distinct(rows: Iterator[int]) -> Iterator[int]:
    seen: set[int] = set()
    for row in rows:
        if row not in seen:
            seen.add(row)
            yield row


class _Lines:
    """One folded text of many lines, searched for substrings."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._text = fold("\n" + "\n".join(_SPACE.sub(" ", line) for line in lines) + "\n")
        self._starts = [0, *accumulate(len(line) + 1 for line in self._text[1:-1].split("\n"))]

    def rows_with(self, pattern: str) -> Iterator[int]:
        """Rows whose line contains ``pattern``, ascending; a leading line break ties it to a line's start."""
        at = self._text.find(pattern)
        while at >= 0:
            row = bisect_right(self._starts, at) - 1
            yield row
            at = self._text.find(pattern, self._starts[row + 1])


class ItemSearch:
    """Search over ``item_ids`` and, where there are any, ``titles`` (one per item, in the same order)."""

    def __init__(self, item_ids: Sequence[str], titles: Sequence[str] | None) -> None:
        self._item_ids = item_ids
        self._row_of = {item_id: row for row, item_id in enumerate(item_ids)}
        self._ids = _Lines(item_ids)
        self._titles = _Lines([title or "" for title in titles]) if titles is not None else None

    def row_of(self, item_id: str) -> int | None:
        return self._row_of.get(item_id)

    def find(self, query: str, limit: int) -> list[int]:
        """The rows of up to ``limit`` items, best match first.

        Order: the exact id; titles that begin with the query; titles with a word that does; titles that
        contain it; ids that begin with it. Equals stay in catalogue order. An empty query lists the
        catalogue from its start.
        """
        if not query.strip():
            return list(range(min(limit, len(self._item_ids))))
        return list(islice(_distinct(self._matches(query.strip())), limit))

    def _matches(self, query: str) -> Iterator[int]:
        exact = self._row_of.get(query)
        words = fold(_SPACE.sub(" ", query))
        by_title = (
            self._titles.rows_with(start + words)
            for start in ("\n", " ", "")
            if self._titles is not None and words
        )
        by_id = self._ids.rows_with("\n" + words) if words else iter(())
        return chain([] if exact is None else [exact], *by_title, by_id)
