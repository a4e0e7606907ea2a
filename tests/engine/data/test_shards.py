"""Events become one row a user, whatever their order, and shards join to the histories they were cut from."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from engine.data.shards import episode_rows, histories_of, shard_of_user
from tests.histories import group_by_user

IDS = pa.array([f"u{i}" for i in range(5)])
EVENT = st.tuples(
    st.integers(0, 4), st.integers(0, 3), st.integers(0, 2), st.sampled_from([math.nan, 0.0, 1.5, -2.0])
)


def table(events: list[tuple[int, int, int, float]]) -> pa.Table:
    user, item, signal, timestamp = np.array(events, dtype=np.float64).reshape(-1, 4).T
    types = (("user_row", user, "int32"), ("item_row", item, "int32"), ("signal", signal, "int16"))
    return pa.table({**{n: c.astype(t) for n, c, t in types}, "timestamp": timestamp})


def test_a_history_by_hand():
    events = [(1, 3, 0, 9.0), (1, 2, 1, 9.0), (1, 2, 0, 9.0), (1, 8, 0, math.nan), (3, 5, 0, 1.0)]
    rows = episode_rows(table(events), IDS).to_pydict()
    assert rows["user_row"] == [1, 3]
    assert rows["user_id"] == ["u1", "u3"]
    assert rows["item_row"] == [[8, 2, 2, 3], [5]]  # undated first, then by item, then by signal
    assert rows["signal"] == [[0, 0, 1, 0], [0]]


@given(st.lists(EVENT, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter_and_none_is_lost(events, random):
    shuffled = random.sample(events, len(events))
    rows = episode_rows(table(events), IDS)
    assert rows.equals(episode_rows(table(shuffled), IDS)) or "nan" in str(rows.to_pydict())
    assert str(rows.to_pydict()) == str(episode_rows(table(shuffled), IDS).to_pydict())
    assert sum(map(len, rows["item_row"].to_pylist())) == len(events)


@given(st.lists(EVENT, min_size=1, max_size=40))
def test_grouping_agrees_with_histories(events):
    """Where no two events of a user share time and item, the order is that of ``group_by_user``."""
    events = list({(u, i, str(t)): (u, i, s, t) for u, i, s, t in events}.values())
    user, item, signal, timestamp = np.array(events).T
    users, user_row = np.unique(user, return_inverse=True)
    ints = (user_row, item.astype(np.int64), signal.astype(np.int64))
    expected = group_by_user(*ints, timestamp, len(users))
    found = histories_of([episode_rows(table(events), IDS)])
    for name in ("start", "item_row", "signal", "timestamp"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_shards_join_to_the_whole():
    events = [(u, i, 0, float(i)) for u in range(5) for i in range(u + 1)]
    rows = episode_rows(table(events), IDS)
    whole, joined = histories_of([rows]), histories_of([rows.slice(0, 2), rows.slice(2, 1), rows.slice(3)])
    for name in ("start", "item_row", "signal", "timestamp"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 100))
def test_shards_are_runs_of_users_of_about_the_size_asked_for(lengths, shard_events):
    lengths = np.array(lengths)
    shards = shard_of_user(lengths, shard_events)
    assert shards[0] == 0
    assert set(np.diff(shards).tolist()) <= {0, 1}
    assert np.bincount(shards, weights=lengths).max() < shard_events + lengths.max()
