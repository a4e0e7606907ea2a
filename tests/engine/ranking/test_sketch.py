"""What is read of an item bounds what it scores, before and after it is put into bytes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.ranking import search
from engine.ranking.search import BLOCK, HALF
from engine.ranking.sketch import Codes, Sketch

D = 9


@pytest.fixture
def phi() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((BLOCK, D)) * np.geomspace(3, 0.1, D)).astype(np.float32)


def test_the_sketch_bounds_every_product(phi: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    root = rng.standard_normal((D, D))
    sketch = Sketch.of(phi, root @ root.T + 0.1 * np.eye(D))
    table_EN = sketch.rows(phi, np.zeros(BLOCK, np.float32))
    read = sketch.n_read
    assert read == 5
    for u_D in rng.standard_normal((20, D)).astype(np.float32):
        v_D = sketch.user_turn() @ u_D
        bound_N = v_D[:read] @ table_EN[:read] + np.linalg.norm(v_D[read:]) * table_EN[-3]
        above_N = bound_N - phi @ u_D
        assert above_N.min() > -1e-4
        assert above_N.mean() < np.linalg.norm(v_D[read:]) * table_EN[-3].mean() * 1.2


def test_a_code_lies_within_half_a_step_of_its_value() -> None:
    rng = np.random.default_rng(2)
    table_GEB = rng.standard_normal((3, 4, BLOCK)).astype(np.float32) * np.float32(50)
    table_GEB[1, 2] = -7.25  # all alike
    table_GEB[2, 3, 0] = 1e6  # one that stretches the scale
    codes = Codes.of(table_GEB)
    told = codes.least_GE[..., None] + codes.step_GE[..., None] * codes.code_GEB
    assert (np.abs(told - table_GEB) <= HALF * codes.step_GE[..., None] + 1e-5).all()
    np.testing.assert_array_equal(told[1, 2], table_GEB[1, 2])


@pytest.mark.parametrize("n_rows", [1, 4, 5])
def test_decoded_sums_lie_above_the_true_ones_by_at_most_a_step_a_row(n_rows: int) -> None:
    rng = np.random.default_rng(3)
    table_GEB = rng.standard_normal((2, n_rows, BLOCK)).astype(np.float32)
    codes, upper_B = Codes.of(table_GEB), np.empty(BLOCK, np.float32)
    weight_E = rng.standard_normal(n_rows).astype(np.float32)
    search._decode(weight_E, codes, 1, upper_B)
    above_B = upper_B - weight_E @ table_GEB[1]
    assert above_B.min() >= -1e-5
    assert above_B.max() <= np.abs(weight_E) @ codes.step_GE[1] * 1.001
