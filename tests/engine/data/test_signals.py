"""Levels, bins and names as signals; what is relevant; how a request's event finds its signal."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.signals import MAX_BINS, Signals, build_signals
from engine.errors import ConfigError, DataError, RequestError


def ratings(*events: str, top: int = 5) -> Signals:
    levels = np.arange(1.0, top + 1)
    return build_signals("rating", levels, np.ones(top, dtype=np.int64), events)


def binned(numbers: np.ndarray, counts: np.ndarray | None = None) -> Signals:
    return build_signals("value", numbers, np.ones(len(numbers), np.int64) if counts is None else counts, ())


def test_levels_come_in_ascending_order_then_events_by_name():
    signals = ratings("view", "click")
    assert signals.names == ("rating=1", "rating=2", "rating=3", "rating=4", "rating=5", "click", "view")
    np.testing.assert_array_equal(signals.value, [1, 2, 3, 4, 5, np.nan, np.nan])


def test_half_levels_keep_their_fraction():
    signals = build_signals("rating", np.array([0.5, 1.0]), np.array([1, 1]), ())
    assert signals.names == ("rating=0.5", "rating=1")


def test_many_numbers_are_binned_at_quantiles_and_a_bin_stands_for_its_mean():
    signals = binned(np.arange(1.0, 81.0))
    assert signals.names == tuple(f"value=bin{i}" for i in range(8))
    assert signals.edges.tolist() == [10, 20, 30, 40, 50, 60, 70]
    assert signals.value.tolist() == [5.5, 15.5, 25.5, 35.5, 45.5, 55.5, 65.5, 75.5]


def test_one_number_that_outweighs_all_others_still_leaves_two_bins():
    numbers = np.arange(30.0)
    for heavy in (0, 15, 29):
        counts = np.where(np.arange(30) == heavy, 10_000, 1)
        signals = binned(numbers, counts)
        assert 2 <= len(signals) <= 3
        assert np.isfinite(signals.value).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=21, max_size=200, unique=True), st.integers(0, 2**32 - 1))
def test_every_number_lands_in_the_bin_that_encode_finds(numbers, seed):
    numbers = np.sort(np.array(numbers) + 0.0)
    if len(np.unique(numbers)) < 21:
        return
    signals = binned(numbers, np.random.default_rng(seed).integers(1, 50, len(numbers)))
    rows = signals.encode_numbers(numbers)
    assert 2 <= len(signals) <= MAX_BINS
    assert (np.diff(rows) >= 0).all()
    assert set(rows.tolist()) == set(range(len(signals)))  # no bin is empty
    assert [signals.encode(float(n)) for n in numbers[:5]] == rows[:5].tolist()


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        ((1, 2, 3, 4, 5), (4, 5)),
        ((0, 1), (1,)),
        ((-1, 1), (1,)),
        ((-1, 0), (0,)),
        ((-2, -1), (-1,)),
        ((1,), (1,)),
    ],
)
def test_by_default_levels_from_four_fifths_of_the_largest_are_relevant(levels, wanted):
    signals = build_signals("rating", np.array(levels, float), np.ones(len(levels), np.int64), ())
    assert tuple(signals.value[signals.relevant()]) == wanted


def test_by_default_all_bins_and_all_named_events_are_relevant():
    assert binned(np.arange(100.0)).relevant().all()
    assert ratings("view").relevant().tolist() == [False, False, False, True, True, True]


def test_what_is_relevant_can_be_said():
    signals = ratings("view", "buy")  # 5 levels, buy, view
    assert signals.relevant(relevant_min=3).nonzero()[0].tolist() == [2, 3, 4, 5, 6]
    assert signals.relevant(relevant=["buy"]).nonzero()[0].tolist() == [5]
    assert signals.relevant(relevant_min=5, relevant=["buy"]).nonzero()[0].tolist() == [4, 5]
    with pytest.raises(ConfigError, match=r"unknown signal 'bye'.*Did you mean 'buy'"):
        signals.relevant(relevant=["bye"])
    with pytest.raises(ConfigError, match="no signal counts as relevant"):
        ratings().relevant(relevant_min=6)


def test_a_request_is_encoded_by_number_or_name_and_the_number_wins():
    signals = ratings("view")
    assert signals.encode(4, None) == 3
    assert signals.encode(None, "view") == 5
    assert signals.encode(2.0, "view") == 1
    assert binned(np.arange(100.0)).encode(1e9) == 7  # beyond the data: the last bin


def test_a_number_between_two_levels_is_the_nearer_one():
    signals = ratings("view")
    assert [signals.encode(v) for v in (3.4, 3.6, 1.0)] == [2, 3, 0]


def test_bins_of_a_rating_are_wanted_from_four_fifths_on():
    numbers = np.arange(0.0, 101.0)
    signals = build_signals("rating", numbers, np.ones(101, dtype=np.int64), [])
    wanted = signals.value[signals.relevant()]
    assert len(wanted) < len(signals.value)
    assert wanted.min() >= 0.8 * signals.value.max()


def test_an_event_is_not_called_like_a_number():
    with pytest.raises(DataError, match="an event is named 'rating=3'"):
        build_signals("rating", np.array([3.0]), np.array([1]), ["rating=3"])


@pytest.mark.parametrize(
    ("value", "event"),
    [(0.9, None), (6, None), (float("nan"), None), (None, "clicked"), (None, None), ("a", None)],
)
def test_what_the_data_do_not_know_names_what_they_do(value, event):
    with pytest.raises(RequestError, match=r"Known signals are rating=1, .*view"):
        ratings("view").encode(value, event)


def test_where_only_one_kind_of_event_exists_it_need_not_be_named():
    assert build_signals("rating", np.empty(0), np.empty(0, np.int64), ["event"]).encode(None, None) == 0
    assert build_signals("rating", np.empty(0), np.empty(0, np.int64), ["event"]).encode(1.0, None) == 0


def test_a_number_is_refused_where_events_have_names():
    signals = build_signals("rating", np.empty(0), np.empty(0, np.int64), ["LIKE", "VIEW"])
    with pytest.raises(RequestError, match="named events"):
        signals.encode(4.0, None)


def test_a_column_of_too_many_names_is_no_event_column():
    with pytest.raises(DataError, match="300 different events"):
        build_signals("rating", np.empty(0), np.empty(0, np.int64), [f"e{i}" for i in range(300)])


@pytest.mark.parametrize("signals", [ratings("view"), binned(np.linspace(0, 1, 50) / 3)])
def test_json_round_trip_is_exact(signals):
    back = Signals.from_json(json.loads(json.dumps(signals.to_json())))
    assert back == signals
    np.testing.assert_array_equal(back.value, signals.value)
