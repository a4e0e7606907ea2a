"""The workers that train one model together, seen from one of them; alone where there are no others.

Knows nothing of Ray: who starts the workers joins them by ``torch.distributed``.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_workers(device: torch.device, *values: float) -> tuple[float, ...]:
    """Sums over all workers."""
    if not dist.is_initialized():
        return values
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(sums)
    return tuple(sums.tolist())


def gather_from_workers(value: T) -> list[T]:
    """Everyone's value, by rank; small ones, for it pickles them."""
    if not dist.is_initialized():
        return [value]
    values: list[T] = [value] * world()
    dist.all_gather_object(values, value)
    return values
