"""Events of a request, read as many at once or one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.events import Support, read_events
from engine.data.signals import build_signals
from engine.errors import RequestError

ROWS = {str(row): row for row in range(6)}
SIGNALS = build_signals("rating", np.arange(1.0, 6.0), np.full(5, 10), ["LIKE"])


def read(events: list[dict[str, Any]]) -> Support:
    return read_events(events, ROWS, SIGNALS, 5)


plain = st.fixed_dictionaries(
    {
        "item_id": st.integers(0, 7).map(str),
        "value": st.sampled_from([1.0, 5.0]) | st.integers(1, 5) | st.floats(1, 5),
    }
)


@given(st.lists(plain, max_size=8))
def test_plain_events_are_read_as_any_others(events: list[dict[str, Any]]) -> None:
    """A time that is not told takes the longer way, one event at a time."""
    at_once, one_by_one = read(events), read([event | {"timestamp": None} for event in events])
    np.testing.assert_array_equal(at_once.item_row, one_by_one.item_row)
    np.testing.assert_array_equal(at_once.signal, one_by_one.signal)
    np.testing.assert_array_equal(at_once.timestamp, one_by_one.timestamp)
    assert at_once.ignored == one_by_one.ignored
    assert len(at_once.item_row) + len(at_once.ignored) == len(events)


@pytest.mark.parametrize(
    "wrong",
    [{"value": 3.0}, {"item_id": "1", "valu": 3.0}, {"item_id": True, "value": 3.0}]
    + [{"item_id": "1", "value": value} for value in (True, "3", 9.0, float("nan"))],
)
def test_among_plain_events_a_wrong_one_is_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"events\[1\]"):
        read([{"item_id": "1", "value": 3.0}, wrong])
