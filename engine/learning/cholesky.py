"""Cholesky's method for one small matrix, as machine code.

For tens of rows a library's overhead is most of the time. A matrix that is not positive definite gives NaN.

Shapes: S rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled

Array = NDArray[np.float32] | NDArray[np.float64]


@compiled
def factorise(a_SS: Array) -> None:
    """Writes L of ``A = L L^T`` over the lower half of A, with the reciprocals of its diagonal."""
    for i in range(len(a_SS)):
        for j in range(i + 1):
            left = a_SS[i, j]
            for m in range(j):
                left -= a_SS[i, m] * a_SS[j, m]
            a_SS[i, j] = 1 / math.sqrt(left) if i == j else left * a_SS[j, j]


@compiled
def substitute(factor_SS: Array, b_S: Array) -> None:
    """Writes x of ``A x = b`` over b."""
    for i in range(len(b_S)):
        left = b_S[i]
        for m in range(i):
            left -= factor_SS[i, m] * b_S[m]
        b_S[i] = left * factor_SS[i, i]
    for i in range(len(b_S) - 1, -1, -1):
        b_S[i] *= factor_SS[i, i]
        for m in range(i):
            b_S[m] -= factor_SS[i, m] * b_S[i]
