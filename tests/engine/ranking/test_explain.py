"""Ranks among the allowed items, against counting by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.ranking.explain import ranks


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.booleans()), min_size=1, max_size=12))
def test_rank_is_one_more_than_those_ahead(items: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in items], np.float32)
    allowed = np.array([is_allowed for _, is_allowed in items])
    rows = np.arange(len(items))
    expected = [
        1 + sum(allowed[j] and (scores[j], -j) > (scores[i], -i) for j in rows if j != i) for i in rows
    ]
    assert ranks(scores, allowed, rows).tolist() == expected
