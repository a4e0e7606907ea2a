"""AdamW for a table of which a step touches few rows: others are brought up to date when next looked at.

It gives what the dense optimiser would. A row without a gradient still moves there: it is decayed, and glides
on along its fading momentum; both have closed forms in the number of steps that were missed. Knows nothing of
what the rows mean.

Shapes: L rows, R rows of a step, C columns, K missed steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8
FADED = 128
"""Missed steps after which momentum has faded: .9^128 = 1e-6."""
CHUNK = 65_536


class LazyAdamW:
    """Attributes: ``value_LC``, right at the rows last caught up; ``steps`` taken.

    Over ``k`` missed steps after step t, with d = 1 - lr decay, m and v the moments and r = b1 / sqrt(b2)::

        value <- d^k value - lr m / (sqrt(v) + eps') sum_j d^(k-j) r^j sqrt(1 - b2^(t+j)) / (1 - b1^(t+j))
        m <- b1^k m,  v <- b2^k v

    which is what k dense steps with a gradient of 0 give, but that eps' is held as in the first of them
    (it matters where gradients are as small as 1e-8) and that the sum ends after ``FADED`` terms.

    Source: Loshchilov & Hutter 2019 (AdamW); the closed form is ours.
    """

    def __init__(self, value_LC: Tensor, lr: float, decay: float) -> None:
        self.value_LC, self.lr, self.keep, self.steps = value_LC, lr, 1 - lr * decay, 0
        self.mean_LC, self.square_LC = torch.zeros_like(value_LC), torch.zeros_like(value_LC)
        self.last_L = torch.zeros(len(value_LC), dtype=torch.int32)  # step up to which a row is right

    def catch_up(self, row_R: Tensor) -> None:
        """Bring distinct rows up to date."""
        row_R = row_R[self.last_L[row_R] < self.steps]
        if not len(row_R):
            return
        last_R = self.last_L[row_R].long()
        gap_R1 = (self.steps - last_R).double().unsqueeze(1)
        mean_RC, square_RC = self.mean_LC[row_R], self.square_LC[row_R]
        first_R1 = (1 - BETA_2 ** (last_R + 1).double()).sqrt().unsqueeze(1) / BETA_2**0.5
        slope_RC = mean_RC / (square_RC.sqrt() + (EPS * first_R1).float())
        decay_R1 = (self.keep**gap_R1).float()
        glide_R1 = self._glide(last_R).unsqueeze(1).float()
        self.value_LC[row_R] = decay_R1 * (self.value_LC[row_R] - glide_R1 * slope_RC)
        self.mean_LC[row_R] = mean_RC * (BETA_1**gap_R1).float()
        self.square_LC[row_R] = square_RC * (BETA_2**gap_R1).float()
        self.last_L[row_R] = self.steps

    def step(self, row_R: Tensor, gradient_RC: Tensor) -> None:
        """One step, in which these distinct rows, already up to date, have a gradient."""
        self.steps += 1
        mean_RC = self.mean_LC[row_R].lerp_(gradient_RC, 1 - BETA_1)
        square_RC = self.square_LC[row_R].mul_(BETA_2).addcmul_(gradient_RC, gradient_RC, value=1 - BETA_2)
        root_RC = square_RC.sqrt().div_((1 - BETA_2**self.steps) ** 0.5).add_(EPS)
        value_RC = self.value_LC[row_R].mul_(self.keep)
        self.value_LC[row_R] = value_RC.addcdiv_(mean_RC, root_RC, value=-self.lr / (1 - BETA_1**self.steps))
        self.mean_LC[row_R], self.square_LC[row_R] = mean_RC, square_RC
        self.last_L[row_R] = self.steps

    def settle(self) -> None:
        """Bring all rows up to date."""
        for first in range(0, len(self.value_LC), CHUNK):
            self.catch_up(torch.arange(first, min(first + CHUNK, len(self.value_LC))))

    def state_dict(self) -> dict[str, Any]:
        moments = {"mean": self.mean_LC, "square": self.square_LC}
        return {"value": self.value_LC, **moments, "last": self.last_L, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value_LC, self.mean_LC, self.square_LC = state["value"], state["mean"], state["square"]
        self.last_L, self.steps = state["last"], state["steps"]

    def _glide(self, last_R: Tensor) -> Tensor:
        """The sum above by d^k, times lr, (R,)."""
        gap_R = self.steps - last_R
        k_K = torch.arange(1, min(int(gap_R.max()), FADED) + 1)
        at_T = torch.arange(int(last_R.min()), int(last_R.max()) + len(k_K) + 1).double()
        size_T = (1 - BETA_2**at_T).sqrt() / (1 - BETA_1**at_T)
        size_RK = size_T[(last_R - last_R.min()).unsqueeze(1) + k_K]
        size_RK = size_RK.masked_fill(k_K > gap_R.unsqueeze(1), 0.0)
        fading_K = (BETA_1 / BETA_2**0.5 / self.keep) ** k_K.double()
        return torch.mv(size_RK, fading_K) * self.lr
