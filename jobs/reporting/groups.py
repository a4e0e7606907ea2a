"""Who is served how well: held-out users by what is known of them, wanted items by how popular they are.

Pure counting. Knows nothing of figures or files.

Shapes: B held-out users, N catalogue, G groups of items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.tables.cells import as_number, as_text
from engine.evaluation.baselines.scorer import Scorer
from engine.evaluation.metrics import candidate_scores
from engine.evaluation.protocol import HeldOut
from engine.ranking.top_k import top_k

LEVELS = 6  # of a category, the most frequent
LEAST = 10  # users a group must have
COVERED = 0.5  # of the users, by the levels shown: else the feature is not worth a chart
PARTS = 5  # of the items, by popularity


@dataclass(frozen=True)
class UserGroups:
    """Disjoint groups of users by one feature."""

    feature: str
    members: Mapping[str, NDArray[np.bool_]]  # name -> (B,)


def user_groups(users: pa.Table, kinds: Mapping[str, str], lengths_B: NDArray[np.int64]) -> list[UserGroups]:
    """By number of events and by each category or number that tells enough users apart."""
    found = [_by_number("events in all", lengths_B.astype(np.float64))]
    for column, kind in kinds.items():
        cells = users[column].to_pylist()
        if kind == "number":
            found.append(_by_number(column, np.array([as_number(cell) for cell in cells])))
        elif kind == "category":
            found.append(_by_level(column, [as_text(cell) for cell in cells]))
    return [groups for groups in found if _worth_showing(groups, len(lengths_B))]


def _by_number(name: str, values_B: NDArray[np.float64]) -> UserGroups:
    """Quarters of about the same size."""
    known = values_B[~np.isnan(values_B)]
    cuts = np.unique(np.quantile(known, (0.25, 0.5, 0.75), method="lower")) if len(known) else np.empty(0)
    part_B = np.searchsorted(cuts, values_B)  # cut[p - 1] < value <= cut[p]
    members = {}
    for part in range(len(cuts) + 1):
        mine = (part_B == part) & ~np.isnan(values_B)
        if mine.any():
            low, high = values_B[mine].min(), values_B[mine].max()
            members[f"{low:g}" if low == high else f"{low:g} to {high:g}"] = mine
    return UserGroups(name, members)


def _by_level(name: str, levels: Sequence[str | None]) -> UserGroups:
    frequent = [level for level, _ in Counter(x for x in levels if x is not None).most_common(LEVELS)]
    array = np.array(levels, dtype=object)
    return UserGroups(name, {level: np.asarray(array == level, dtype=np.bool_) for level in frequent})


def _worth_showing(groups: UserGroups, n_users: int) -> bool:
    large = [mine for mine in groups.members.values() if mine.sum() >= LEAST]
    return len(large) > 1 and sum(int(mine.sum()) for mine in large) >= COVERED * n_users


def popularity_parts(counts_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Each item's part, (N,), and the parts' names: each has about a fifth of the events.

    Items without events are a part of their own, if there are any.
    """
    order = np.argsort(-counts_N, kind="stable")
    before = np.cumsum(counts_N[order]) - counts_N[order]
    part_N = np.empty(len(counts_N), dtype=np.int64)
    part_N[order] = np.minimum(PARTS * before // max(int(counts_N.sum()), 1), PARTS - 1)
    part_N[counts_N == 0] = PARTS
    sizes = np.bincount(part_N, minlength=PARTS + 1)
    first = ["most popular", *[""] * (PARTS - 2), "least popular"]
    names = [f"{name}\n{size:,} items".strip() for name, size in zip(first, sizes, strict=False)]
    return part_N, names + ([f"no events\n{sizes[PARTS]:,} items"] if sizes[PARTS] else [])


def found_by_part(
    scorer: Scorer, held: HeldOut, shots: int, part_N: NDArray[np.int64], n_parts: int, k: int = 10
) -> NDArray[np.float64]:
    """Of the wanted items of each part the share among the first k, (G,); NaN where none is wanted."""
    hits, wanted = np.zeros(n_parts), np.zeros(n_parts)
    for user_item, slate_BK in _slates(scorer, held, shots, k):
        user, item = user_item
        hit = (slate_BK[user] == item[:, None]).any(axis=1)
        hits += np.bincount(part_N[item], hit, n_parts)
        wanted += np.bincount(part_N[item], minlength=n_parts)
    return np.asarray(hits / np.where(wanted > 0, wanted, np.nan))


def _slates(
    scorer: Scorer, held: HeldOut, shots: int, k: int
) -> Iterator[tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]]:
    for part in held.parts():
        episodes = part.episodes[shots]
        slate_BK = top_k(candidate_scores(scorer.score(episodes), episodes), k)
        yield (episodes.query_user.numpy(), episodes.query_item.numpy()), slate_BK
