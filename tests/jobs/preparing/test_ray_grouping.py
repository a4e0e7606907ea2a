"""Shards are put together again however Ray Data has cut them, and a loss is noticed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from jobs.preparing.ray_grouping import _whole_shards

USERS_IN = np.array([2, 3])
ROWS = pa.table({"user_row": [4, 0, 2, 1, 3], "shard": [1, 0, 1, 0, 1]})


@pytest.mark.parametrize("cuts", [[0, 5], [0, 1, 5], [0, 1, 2, 3, 4, 5], [0, 0, 5]])
def test_each_shard_comes_once_complete_and_in_order(cuts: list[int]):
    blocks = [ROWS.slice(a, b - a) for a, b in pairwise(cuts)]
    shards = {number: rows["user_row"].to_pylist() for number, rows in _whole_shards(blocks, USERS_IN)}
    assert shards == {0: [0, 1], 1: [2, 3, 4]}


def test_a_user_who_got_lost_stops_the_work():
    with pytest.raises(RuntimeError, match=r"lost users of shards \[1\]"):
        list(_whole_shards([ROWS.slice(1)], USERS_IN))
