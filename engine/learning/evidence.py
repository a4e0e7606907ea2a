"""What an event says about a user (its target) and how much it is believed (its precision).

Knows nothing of items.

Shapes: B users, S support (padded), R signals, A groups of ages.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

N_GROUPS = 9


def log2_group(count: Tensor) -> Tensor:
    """Groups of counts that double in width: 0, 1-2, 3-6, 7-14, ...; the last one is open."""
    return torch.floor(torch.log2(count.float() + 1.0)).long().clamp(max=N_GROUPS - 1)


class Evidence(nn.Module):
    """``t = t[signal]`` and ``c = softplus(c[signal] + r[age group])``, all three learned.

    The age of an event is how many of the user's events came after it: r lets old events fade.
    """

    def __init__(self, target_R: Tensor, precision: float) -> None:
        """
        Args:
            target_R: where the targets start.
            precision: where every signal's precision starts, > 0.
        """
        super().__init__()
        self.target_R = nn.Parameter(target_R.clone())
        self.precision_R = nn.Parameter(torch.full_like(target_R, math.log(math.expm1(precision))))
        self.recency_A = nn.Parameter(torch.zeros(N_GROUPS))

    def forward(self, signal_BS: Tensor, age_BS: Tensor, present_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Returns target_BS and precision_BS, the latter 0 in the padding."""
        precision_BS = softplus(self.precision_R[signal_BS] + self.recency_A[log2_group(age_BS)])
        return self.target_R[signal_BS], torch.where(present_BS, precision_BS, 0.0)
