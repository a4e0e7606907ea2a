"""Groups of users and items, against counts made by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.evaluation.protocol import hold_out
from jobs.reporting.groups import found_by_part, popularity_parts, user_groups
from tests.histories import group_by_user


def test_users_by_number_by_level_and_by_events() -> None:
    n = 80
    users = pa.table(
        {
            "age": [None, *range(1, n)],
            "country": ["BR"] * 50 + ["PT"] * 20 + ["US"] * 10,
            "zip": [str(i) for i in range(n)],
            "about": ["a text"] * n,
        }
    )
    kinds = {"age": "number", "country": "category", "zip": "category", "about": "text"}
    groups = {g.feature: g.members for g in user_groups(users, kinds, np.arange(n))}
    assert list(groups) == ["events in all", "age", "country"]  # a zip code tells everyone apart
    assert {name: int(mine.sum()) for name, mine in groups["country"].items()} == {
        "BR": 50,
        "PT": 20,
        "US": 10,
    }
    assert [int(mine.sum()) for mine in groups["age"].values()] == [20, 20, 19, 20]
    assert list(groups["age"]) == ["1 to 20", "21 to 40", "41 to 59", "60 to 79"]
    together = sum(mine.astype(int) for mine in groups["events in all"].values())
    assert (together == 1).all()


def test_items_by_popularity() -> None:
    part_N, names = popularity_parts(np.array([0, 10, 40, 10, 20, 20]))
    assert part_N.tolist() == [5, 4, 0, 4, 2, 3]  # what comes before: -, 80, 0, 90, 40, 60 of 100
    assert names == [
        "most popular\n1 items",
        "0 items",
        "1 items",
        "1 items",
        "least popular\n2 items",
        "no events\n1 items",
    ]
    assert len(popularity_parts(np.array([1, 1]))[1]) == 5


class Fixed:
    """Scores every user's items by one list, so that it is known which are first."""

    name = "fixed"

    def __init__(self, scores_N: list[float]) -> None:
        self.scores_N = scores_N

    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        return np.tile(np.array(self.scores_N, np.float32), (len(episodes), 1))


def test_what_is_found_of_each_part() -> None:
    """Two users want items 2 and 3 of part 0 and 1, after item 0: the first two of the slate are 3 and 1."""
    user, item = np.repeat([0, 1], 4), np.tile([0, 4, 2, 3], 2)
    histories = group_by_user(user, item, np.zeros(8, np.int64), np.tile([0.0, 1, 2, 3], 2), 2)
    held = hold_out(
        histories, np.array([0, 1]), np.zeros((2, 0), np.float32), np.array([True]), (0, 1), "time", 2
    )
    found = found_by_part(Fixed([9, 3, 1, 5, 8]), held, 1, np.array([0, 0, 0, 1, 2]), 3, k=2)
    assert found[0] == 0  # item 2
    assert found[1] == 1  # item 3
    assert np.isnan(found[2])  # nobody wants item 4: it is never a candidate
