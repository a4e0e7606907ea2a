"""Where items stand by their features alone: like features, like places, with events or without.

Knows nothing of events, users or gradients.

Shapes: N catalogue, F item features, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor


def likeness_factors(x_NF: Tensor, dim: int) -> Tensor:
    """The first D principal axes of the items' cosine, (N, D); D = ``dim``, or F if that is less.

    Each feature is first divided by its root mean square, so that sharing a rare one says more than sharing
    a common one. With D = F, ``z_i . z_j`` is the cosine; rows have length 1 or less, 0 without features.
    """
    rare_NF = x_NF / x_NF.square().mean(dim=0).sqrt().clamp(min=1e-6)
    unit_NF = (rare_NF / rare_NF.norm(dim=1, keepdim=True).clamp(min=1e-12)).double()
    _, axes_FF = torch.linalg.eigh(unit_NF.T @ unit_NF)  # ascending
    places_ND: Tensor = (unit_NF @ axes_FF.flip(1)[:, :dim]).to(x_NF.dtype)
    return places_ND
