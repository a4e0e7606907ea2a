"""Dropout masks as a function of (seed, pass, step) alone.

Masks are drawn for the whole outer step and each worker takes its users' rows, so that two workers
together see exactly what one would, and a resumed run what an undisturbed one would.

Shapes: B users of the step, N catalogue, F user features, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.learning.meta import Noise


@dataclass(frozen=True)
class Dropout:
    """Shares left out while training."""

    posterior: float
    user_features: float
    items: float


def draw_noise(
    dropout: Dropout, seed: Sequence[int], n_users: int, n_features: int, n_items: int, dim: int
) -> Noise:
    """The masks of one outer step; ``seed`` is (seed, pass, step)."""
    state = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
    generator = torch.Generator().manual_seed(state)
    return Noise(
        _mask((n_users, dim), dropout.posterior, generator),
        _mask((n_users, n_features), dropout.user_features, generator),
        torch.rand(n_items, generator=generator) < dropout.items,
    )


def hidden_rows(row_M: Tensor, share: float, seed: Sequence[int]) -> Tensor:
    """Which of these items show only their features, (M,) bool: of each a function of its row and the seed.

    Source: the mixing function of SplitMix64 (Steele, Lea & Flood 2014).
    """
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    mixed = start + row_M.numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy((mixed ^ (mixed >> np.uint64(31))) < np.uint64(share * 2**64))


def rows_of(noise: Noise, rows: slice) -> Noise:
    """The same noise for some users of the step."""
    return Noise(noise.posterior_BD[rows], noise.user_BF[rows], noise.hidden_N)


def _mask(shape: tuple[int, int], share: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=generator) >= share).float() / (1.0 - share)
