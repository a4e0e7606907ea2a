"""Learned tensors as arrays, and groups of counts as `engine.learning.evidence` makes them.

Knows nothing of what they hold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.learning.evidence import N_GROUPS


def array(tensor: Tensor) -> NDArray[np.float32]:
    """The tensor's values, in the tensor's memory."""
    return np.asarray(tensor.detach().numpy())


def group(count: int) -> int:
    """`log2_group` of one number."""
    return min((count + 1).bit_length(), N_GROUPS) - 1
