"""Where items stand by their features alone: like features, like places, with events or without.

Knows nothing of events, users or gradients.

Shapes: N catalogue, L rows of it, F item features, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.learning.exchange import summed


def likeness_factors(x_NF: Tensor, dim: int) -> Tensor:
    """The first D principal axes of the items' cosine, (N, D); D = ``dim``, or F if that is less.

    Each feature is first divided by the square root of its root mean square, so that sharing a rare one says
    more than sharing a common one, but does not drown it. With D = F, ``z_i . z_j`` is the cosine; rows have
    length 1 or less, 0 without features.
    """
    return _places(x_NF, len(x_NF), dim, lambda value: value)


def own_likeness(x_LF: Tensor, n_items: int, dim: int) -> Tensor:
    """`likeness_factors` of this worker's rows, where the N are spread over the workers, (L, D)."""
    return _places(x_LF, n_items, dim, summed)


def _places(x_LF: Tensor, n_items: int, dim: int, total: Callable[[Tensor], Tensor]) -> Tensor:
    """Of some rows of all; ``total`` makes sums over them those over all."""
    mean_F = total(x_LF.double().square().sum(dim=0)) / n_items
    rare_LF = x_LF / mean_F.to(x_LF.dtype).pow(0.25).clamp(min=1e-3)
    unit_LF = (rare_LF / rare_LF.norm(dim=1, keepdim=True).clamp(min=1e-12)).double()
    _, axes_FF = torch.linalg.eigh(total(unit_LF.T @ unit_LF))  # ascending
    places_LD: Tensor = (unit_LF @ axes_FF.flip(1)[:, :dim]).to(x_LF.dtype)
    return places_LD
