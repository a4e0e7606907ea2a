"""The workers that train one model together, seen from one of them; alone where there are no others.

Knows nothing of Ray: who starts the workers joins them by ``torch.distributed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

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


def sum_gradients(parameters: Sequence[nn.Parameter], *values: float) -> tuple[float, ...]:
    """Sums of gradients, in place, and of ``values`` over all workers: one message, so that they meet once.

    A worker's missing gradient counts as zeros; what has none in any worker keeps none.
    """
    if world() == 1:
        return values
    told = torch.tensor([*values, *(p.grad is not None for p in parameters)], device=parameters[0].device)
    slopes = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([told, *(slope.flatten() for slope in slopes)])
    dist.all_reduce(flat)
    told, *slopes_of_all = torch.split(flat, [len(told), *(p.numel() for p in parameters)])
    sums = told.tolist()
    for p, slope, workers in zip(parameters, slopes_of_all, sums[len(values) :], strict=True):
        p.grad = slope.view_as(p) if workers else None
    return tuple(sums[: len(values)])


def gather_from_workers(value: T) -> list[T]:
    """Everyone's value, by rank; small ones, for it pickles them."""
    if not dist.is_initialized():
        return [value]
    values: list[T] = [value] * world()
    dist.all_gather_object(values, value)
    return values
