"""What the model knows of an item: its embedding phi and its base measure.

Knows nothing of users or of adaptation.

Shapes: N catalogue, F item features, D embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Items(NamedTuple):
    """The catalogue as one step sees it."""

    phi_ND: Tensor
    base_N: Tensor


class ItemRepresentation(nn.Module):
    """``phi = diag(exp g) P0 + Delta + E(x)`` and ``b = b0 + residual``.

    P0 (the spectral start) and b0 (log-popularity) are fixed; g, Delta, E and the residual of b are
    learned and decayed towards that start. A cold item has neither P0, Delta nor b: it is ``E(x)``
    and a base measure ``beta . x + beta0``. ``hidden`` items are shown like cold ones (item dropout),
    so that the features learn to stand in for the rest.
    """

    spectral_ND: Tensor
    base_N: Tensor
    warm_N: Tensor
    x_NF: Tensor

    def __init__(self, spectral_ND: Tensor, base_N: Tensor, warm_N: Tensor, x_NF: Tensor) -> None:
        """
        Args:
            spectral_ND: P0.
            base_N: b0, log-popularity.
            warm_N: bool, items with events in the training data.
            x_NF: item features; F may be 0.
        """
        super().__init__()
        n, dim = spectral_ND.shape
        self.register_buffer("spectral_ND", spectral_ND)
        self.register_buffer("base_N", base_N)
        self.register_buffer("warm_N", warm_N)
        self.register_buffer("x_NF", x_NF)
        self.log_gain_D = nn.Parameter(torch.zeros(dim))
        self.residual_ND = nn.Parameter(torch.zeros(n, dim))
        self.encoder_FD = nn.Parameter(torch.zeros(x_NF.shape[1], dim))
        self.base_residual_N = nn.Parameter(torch.zeros(n))
        self.base_weight_F = nn.Parameter(torch.zeros(x_NF.shape[1]))
        self.base_cold = nn.Parameter(base_N.mean())

    def forward(self, hidden_N: Tensor | None = None) -> Items:
        shown_N = self.warm_N if hidden_N is None else self.warm_N & ~hidden_N
        known_ND = self.spectral_ND * self.log_gain_D.exp() + self.residual_ND
        phi_ND = torch.where(shown_N.unsqueeze(-1), known_ND, 0.0) + self.x_NF @ self.encoder_FD
        cold_N = self.base_cold + self.x_NF @ self.base_weight_F
        return Items(phi_ND, torch.where(shown_N, self.base_N + self.base_residual_N, cold_N))
