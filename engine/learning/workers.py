"""The workers that train one model together, seen from one of them; alone where there are no others.

Knows nothing of Ray: who starts the workers joins them by ``torch.distributed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from engine.learning.descent import Descent

if TYPE_CHECKING:
    from engine.learning.meta import MetaModel

T = TypeVar("T")


def averaged(model: MetaModel) -> DistributedDataParallel:
    """The outer loss with its gradient averaged over workers. Buffers never change: they are sent once.

    Descent may leave parameters without a gradient: in the first order, with Reptile, or in a worker whose
    share of a step is nobody. The others must not wait for these.
    """
    descends = isinstance(model.inner, Descent)
    return DistributedDataParallel(model, forward_sync_buffers=False, find_unused_parameters=descends)


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
