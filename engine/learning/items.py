"""What the model knows of an item: its embedding phi and its base measure.

Knows nothing of users or of adaptation.

Shapes: N catalogue, F item features, D embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.learning.sparse_features import SparseFeatures

RIDGE = 10.0  # as many items must share a feature before it is half believed


class Items(NamedTuple):
    """The catalogue as one step sees it."""

    phi_ND: Tensor
    base_N: Tensor
    shown_N: Tensor  # bool: with all that is known of them, not by their features alone


class ItemRepresentation(nn.Module):
    """``phi = diag(exp g) P0 + Delta + x E`` and ``b = b0 + residual``.

    P0 (the spectral start) and b0 (log-popularity) are fixed; g, Delta, E and the residual are learned.
    A cold item has no P0, Delta or b of its own: what the warm items' features say of P0 and b0 (a ridge
    regression) takes their place, and the learned ``x beta`` that of the residual. ``hidden`` items are
    shown like cold ones (item dropout), so that features learn to stand in for the rest.
    """

    spectral_ND: Tensor
    base_N: Tensor
    warm_N: Tensor
    x_NF: Tensor
    imputed_ND: Tensor
    imputed_base_N: Tensor

    def __init__(
        self,
        spectral_ND: Tensor,
        base_N: Tensor,
        warm_N: Tensor,
        x_NF: Tensor,
        imputed_ND: Tensor,
        imputed_base_N: Tensor,
    ) -> None:
        """
        Args:
            spectral_ND: P0.
            base_N: b0, log-popularity.
            warm_N: bool, items with events in the training data.
            x_NF: item features; F may be 0.
            imputed_ND, imputed_base_N: what stands for P0 and b0 where an item is cold.
        """
        super().__init__()
        n, dim = spectral_ND.shape
        n_features = x_NF.shape[1]
        self.register_buffer("spectral_ND", spectral_ND)
        self.register_buffer("base_N", base_N)
        self.register_buffer("warm_N", warm_N)
        self.register_buffer("x_NF", x_NF)
        self.register_buffer("imputed_ND", imputed_ND)
        self.register_buffer("imputed_base_N", imputed_base_N)
        self.features = SparseFeatures(x_NF)
        self.log_gain_D = nn.Parameter(torch.zeros(dim))
        self.residual_ND = nn.Parameter(torch.zeros(n, dim))
        self.encoder_FD = nn.Parameter(torch.zeros(n_features, dim))
        self.base_residual_N = nn.Parameter(torch.zeros(n))
        self.cold_base_F = nn.Parameter(torch.zeros(n_features))

    @classmethod
    def start(cls, spectral_ND: Tensor, base_N: Tensor, warm_N: Tensor, x_NF: Tensor) -> ItemRepresentation:
        """Where training starts: what stands for P0 and b0 is predicted from the warm items' features."""
        imputed_ND = predicted(x_NF, spectral_ND, warm_N)
        imputed_base_N = predicted(x_NF, base_N[:, None], warm_N)[:, 0]
        return cls(spectral_ND, base_N, warm_N, x_NF, imputed_ND, imputed_base_N)

    def forward(self, hidden_N: Tensor | None = None) -> Items:
        shown_N = self.warm_N if hidden_N is None else self.warm_N & ~hidden_N
        shown_N1 = shown_N.unsqueeze(-1)
        start_ND = torch.where(shown_N1, self.spectral_ND, self.imputed_ND)
        own_ND = torch.addcmul(shown_N1 * self.residual_ND, start_ND, self.log_gain_D.exp())
        cold_N = self.imputed_base_N + self.features(self.cold_base_F.unsqueeze(-1)).squeeze(-1)
        base_N = torch.where(shown_N, self.base_N + self.base_residual_N, cold_N)
        return Items(own_ND + self.features(self.encoder_FD), base_N, shown_N)


def predicted(x_NF: Tensor, y_NC: Tensor, known_N: Tensor) -> Tensor:
    """What the features say of y for every item, by a ridge regression on the known ones, (N, C).

    The intercept is not penalised: an item without features gets the known ones' mean.
    """
    if not known_N.any():
        return torch.zeros_like(y_NC)
    x_mean_F, y_mean_C = x_NF[known_N].mean(dim=0), y_NC[known_N].mean(dim=0)
    centred_NF = x_NF - x_mean_F
    known_NF = centred_NF[known_N]
    gram_FF = known_NF.T @ known_NF + RIDGE * torch.eye(x_NF.shape[1])
    weight_FC: Tensor = torch.linalg.solve(gram_FF, known_NF.T @ (y_NC[known_N] - y_mean_C))
    return y_mean_C + centred_NF @ weight_FC
