"""Rows of tables that are spread over the workers: who holds which, and how they travel.

Row ``r`` is held by worker ``r mod W`` at its place ``r // W``, so that popular rows, which often stand side
by side, are spread evenly. Knows nothing of what the rows mean. A single worker exchanges nothing.

Shapes: N rows in all, L rows of this worker, M rows that it needs, A rows that it is asked for, C columns.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from engine.learning.workers import rank, world


def own_rows(n: int) -> Tensor:
    """The rows that this worker holds, (L,)."""
    return torch.arange(rank(), n, world())


class Exchange:
    """One round of lending: every worker names the rows it needs. All workers must take part.

    Attributes:
        asked_A: places of the rows that this worker is asked for, by asking worker; may repeat.
    """

    def __init__(self, row_M: Tensor) -> None:
        self._order = torch.argsort(row_M % world(), stable=True)
        needed_M = row_M[self._order]
        sent = torch.bincount(needed_M % world(), minlength=world())
        received = _swapped(sent, [1] * world(), [1] * world())
        self._needed, self._asked = sent.tolist(), received.tolist()
        self.asked_A = _swapped(needed_M // world(), self._needed, self._asked)

    def fetch(self, value_AC: Tensor) -> Tensor:
        """What the other workers say of the needed rows, (M, C), given what this one says of the asked."""
        sorted_MC = _swapped(value_AC, self._asked, self._needed)
        value_MC = torch.empty_like(sorted_MC)
        value_MC[self._order] = sorted_MC
        return value_MC

    def give(self, value_MC: Tensor) -> Tensor:
        """The way back: (A, C) from all workers' needed rows, in the order of ``asked_A``."""
        return _swapped(value_MC[self._order], self._needed, self._asked)


def _swapped(value: Tensor, sent: list[int], received: list[int]) -> Tensor:
    if world() == 1:
        return value
    out = value.new_empty(sum(received), *value.shape[1:])
    dist.all_to_all_single(out, value.contiguous(), received, sent)
    return out


def summed(value: Tensor) -> Tensor:
    """The sum over all workers, in place."""
    if world() > 1:
        dist.all_reduce(value)
    return value


def gathered(own_LC: Tensor, n: int, to: int = 0) -> Tensor | None:
    """All N rows at worker ``to``; None elsewhere."""
    if world() == 1:
        return own_LC
    padded = _padded(own_LC, n)
    parts = [torch.empty_like(padded) for _ in range(world())] if rank() == to else None
    dist.gather(padded, parts, dst=to)
    return None if parts is None else interleaved(parts)[:n]


def gathered_by_all(own_LC: Tensor, n: int) -> Tensor:
    """All N rows, at every worker."""
    if world() == 1:
        return own_LC
    padded = _padded(own_LC, n)
    parts = [torch.empty_like(padded) for _ in range(world())]
    dist.all_gather(parts, padded)
    return interleaved(parts)[:n]


def interleaved(parts: list[Tensor]) -> Tensor:
    """All rows from those of each worker, in their order; the later ones may be one shorter."""
    if len(parts) == 1:
        return parts[0]
    n = sum(len(part) for part in parts)
    value_NC = parts[0].new_empty(n, *parts[0].shape[1:])
    for worker, part in enumerate(parts):
        value_NC[worker :: len(parts)] = part
    return value_NC


def _padded(own_LC: Tensor, n: int) -> Tensor:
    """With as many rows as the worker with most has."""
    padded = own_LC.new_zeros(-(-n // world()), *own_LC.shape[1:])
    padded[: len(own_LC)] = own_LC
    return padded
