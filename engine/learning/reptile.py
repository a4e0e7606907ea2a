"""Reptile: an outer rule that needs no query set and no second derivative, only where users ended.

Knows nothing of how users adapted, of optimisers or of models.

Shapes: B users.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from engine.learning.gradient import Params


def reptile_direction(start: Params, adapted: Params) -> Params:
    """``theta - mean_u theta_u``: downhill of it is where users went.

    A step of plain SGD at rate epsilon is Reptile's ``theta + epsilon mean_u (theta_u - theta)``; any
    other torch optimiser may be used as well.

    Args:
        start: parameters that all users shared.
        adapted: where each user ended, users first, at least one; may hold more names than ``start``.

    Source: Nichol, Achiam & Schulman 2018, algorithm 2.
    """
    return {name: value.detach() - adapted[name].detach().mean(dim=0) for name, value in start.items()}


def reptile_loss(start: Params, adapted: Params) -> Tensor:
    """``1/2 sum_u |theta(u) - theta_u|^2`` with where users ended held fixed, so that its gradient is
    B times :func:`reptile_direction`.

    For starts that are computed (``w0(u) = mu + G x_u``): the gradient goes on into what they were
    computed from. Being a loss, it may stand in a forward that is averaged over workers.

    Args:
        start: parameters that users shared, or one start a user, users first.
        adapted: where each user ended, users first; may hold more names than ``start``.

    Returns: the sum over users; divide by their number over all workers.

    Source: Nichol, Achiam & Schulman 2018, section 5.2 (the distance to each task's solutions).
    """
    distances = [(value - adapted[name].detach()).square().sum() for name, value in start.items()]
    return 0.5 * sum(distances[1:], start=distances[0])


def put_gradients(parameters: Mapping[str, Tensor], direction: Params) -> None:
    """Set each parameter's ``.grad``, so that an optimiser's next ``step()`` follows ``direction``."""
    for name, gradient in direction.items():
        parameters[name].grad = gradient.detach().clone()
