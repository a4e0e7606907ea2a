"""A small made-up world whose answer is known: two kinds of users, two kinds of items.

Deterministic from its seed. Knows nothing of preparing it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.data.sources import SourceTables


def checkerboard(
    n_users: int = 200, n_items: int = 60, events_per_user: int = 12, noise: float = 0.05, seed: int = 0
) -> SourceTables:
    """Two kinds of users and items: even users like even items, odd users odd ones.

    A user's events are distinct items of their kind, rated 5; now and then (``noise``) one of the other kind,
    rated 1. Every user has a few more years and every item a colour, which says its kind for half of
    them; nothing of a user's features says theirs, so that only events can tell.
    """
    rng = np.random.default_rng(seed)
    kind_of_item = np.arange(n_items) % 2
    rows = []
    for user in range(n_users):
        own, other = (rng.permutation(np.flatnonzero(kind_of_item == k)) for k in (user % 2, 1 - user % 2))
        strays = rng.random(events_per_user) < noise
        chosen = np.where(strays, other[:events_per_user], own[:events_per_user])
        start = 1_600_000_000 + 86_400 * user
        rows += [
            (f"u{user}", f"i{item}", 1 if stray else 5, start + 60 * n)
            for n, (item, stray) in enumerate(zip(chosen, strays, strict=True))
        ]
    colours = np.where(rng.random(n_items) < 0.5, np.array(["white", "black"])[kind_of_item], "grey")
    ids = {"item_id": [f"i{i}" for i in range(n_items)], "user_id": [f"u{u}" for u in range(n_users)]}
    return SourceTables(
        pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"]),
        pd.DataFrame({"item_id": ids["item_id"], "colour": colours, "size": rng.integers(1, 100, n_items)}),
        pd.DataFrame({"user_id": ids["user_id"], "age": rng.integers(18, 80, n_users)}),
        "a made-up checkerboard",
    )
