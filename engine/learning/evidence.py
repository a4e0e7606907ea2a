"""What an event says about a user (its target) and how much it is believed (its precision).

Knows nothing of items.

Shapes: B users, S support (padded), R signals, A groups of ages, H groups of hours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

N_GROUPS = 9
N_HOUR_GROUPS = 16
"""1-2 hours, 3-6, ..., over 65,535: seven years and more."""


def log2_group(count: Tensor, last: int = N_GROUPS - 1) -> Tensor:
    """Groups of counts that double in width: 0, 1-2, 3-6, 7-14, ...; the ``last`` one is open."""
    return torch.floor(torch.log2(count.float() + 1.0)).long().clamp(max=last)


class Evidence(nn.Module):
    """``t = t[signal]`` and ``c = softplus(c[signal] + r[age group] + e[elapsed group])``, all learned.

    The age of an event is how many of the user's events came after it, the elapsed time how many hours
    before the newest it happened: r and e let old events fade. Less than an hour, or a time that is not
    known, adds nothing.
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
        self.elapsed_H = nn.Parameter(torch.zeros(N_HOUR_GROUPS))

    def forward(
        self, signal_BS: Tensor, age_BS: Tensor, elapsed_BS: Tensor, present_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns target_BS and precision_BS, the latter 0 in the padding; elapsed in hours, NaN unknown."""
        hours_BS = log2_group(elapsed_BS.nan_to_num(0.0), N_HOUR_GROUPS)
        fading_BS = self.recency_A[log2_group(age_BS)] + pad(self.elapsed_H, (1, 0))[hours_BS]
        precision_BS = softplus(self.precision_R[signal_BS] + fading_BS)
        return self.target_R[signal_BS], torch.where(present_BS, precision_BS, 0.0)
