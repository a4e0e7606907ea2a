"""The compiled solve of one small system equals numpy's, in either precision."""

from __future__ import annotations

import numpy as np
import pytest

from engine.learning.cholesky import factorise, substitute


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-10)])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 40])
def test_the_solution_is_that_of_a_general_solver(n: int, dtype: type, tolerance: float) -> None:
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n))
    a, b = root @ root.T + n * np.eye(n), rng.normal(size=n)
    factor, x = a.astype(dtype), b.astype(dtype)
    factorise(factor)
    substitute(factor, x)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=tolerance, atol=tolerance)


def test_the_factor_lies_in_the_lower_half_with_its_diagonal_inverted() -> None:
    a = np.array([[4.0, 2.0], [2.0, 5.0]])
    factorise(a)
    np.testing.assert_allclose(np.tril(a), [[1 / 2, 0], [1, 1 / 2]])


def test_what_is_not_positive_definite_gives_no_number() -> None:
    a, b = np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2)
    factorise(a)
    substitute(a, b)
    assert np.isnan(b).any()
