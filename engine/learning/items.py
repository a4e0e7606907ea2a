"""What the model knows of an item: its embedding phi and its base measure.

Knows nothing of users or of adaptation.

Shapes: N catalogue, F item features, D embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.learning.likeness import likeness_factors

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""As many items must share a feature before it is half believed; the data choose among them."""


class Items(NamedTuple):
    """The catalogue as one step sees it."""

    phi_ND: Tensor
    base_N: Tensor


class ItemRepresentation(nn.Module):
    """``phi = diag(exp g) P0 + Delta + x E`` and ``b = b0 + residual``.

    P0 (the spectral start) and b0 (log-popularity) are fixed; g, Delta, E and the residual are learned.
    A cold item has no P0, Delta or b of its own: what the warm items' features say of P0 and b0 (a ridge
    regression) takes their place, and the learned ``x beta`` that of the residual. ``hidden`` items are
    shown like cold ones (item dropout), so that features learn to stand in for the rest. P0 may hold
    columns of the features' own likeness; in those, cold items stand where they would if they were warm.
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
        self.log_gain_D = nn.Parameter(torch.zeros(dim))
        self.residual_ND = nn.Parameter(torch.zeros(n, dim))
        self.encoder_FD = nn.Parameter(torch.zeros(n_features, dim))
        self.base_residual_N = nn.Parameter(torch.zeros(n))
        self.cold_base_F = nn.Parameter(torch.zeros(n_features))

    @classmethod
    def start(
        cls, spectral_ND: Tensor, base_N: Tensor, warm_N: Tensor, x_NF: Tensor, likeness_dim: int = 0
    ) -> ItemRepresentation:
        """Where training starts: what stands for P0 and b0 is predicted from the warm items' features.

        ``likeness_dim`` columns of the features' likeness are joined to P0, for cold items as for warm ones.
        """
        alike_ND = likeness_factors(x_NF, likeness_dim)
        imputed_ND = torch.cat([predicted(x_NF, spectral_ND, warm_N), alike_ND], dim=1)
        spectral_ND = torch.cat([spectral_ND, alike_ND], dim=1)
        imputed_base_N = predicted(x_NF, base_N[:, None], warm_N)[:, 0]
        return cls(spectral_ND, base_N, warm_N, x_NF, imputed_ND, imputed_base_N)

    def forward(self, hidden_N: Tensor | None = None) -> Items:
        shown_N = self.warm_N if hidden_N is None else self.warm_N & ~hidden_N
        gain_D = self.log_gain_D.exp()
        warm_ND = self.spectral_ND * gain_D + self.residual_ND
        own_ND = torch.where(shown_N.unsqueeze(-1), warm_ND, self.imputed_ND * gain_D)
        cold_N = self.imputed_base_N + self.x_NF @ self.cold_base_F
        base_N = torch.where(shown_N, self.base_N + self.base_residual_N, cold_N)
        return Items(own_ND + self.x_NF @ self.encoder_FD, base_N)


def predicted(x_NF: Tensor, y_NC: Tensor, known_N: Tensor) -> Tensor:
    """What the features say of y for every item, by a ridge regression on the known ones, (N, C).

    For a known item it is what the *other* items' features say, so that a hidden item is no better placed
    than one nobody has met. Of ``PENALTIES`` the one with the least squared error of these predictions is
    taken. The intercept is not penalised: an item without features gets the known ones' mean.

        y_i - yhat_without_i = (y_i - yhat_i) / (1 - h_i),  h_i = 1/n + x_i (X^T X + penalty I)^-1 x_i

    Source: the leave-one-out residual of Allen 1974 (PRESS).
    """
    if not known_N.any():
        return torch.zeros_like(y_NC)
    x, y = x_NF.double(), y_NC.double()
    x_mean_F, y_mean_C = x[known_N].mean(dim=0), y[known_N].mean(dim=0)
    value_F, vector_FF = torch.linalg.eigh((x[known_N] - x_mean_F).T @ (x[known_N] - x_mean_F))
    turned_NF = (x - x_mean_F) @ vector_FF
    own_nF, y_nC = turned_NF[known_N], y[known_N] - y_mean_C
    fits = [_ridge(own_nF, y_nC, value_F.clamp(min=0) + penalty) for penalty in PENALTIES]
    weight_FC, error_nC = min(fits, key=lambda fit: float(fit[1].square().sum()))
    said_NC = turned_NF @ weight_FC
    said_NC[known_N] = y_nC - error_nC
    all_NC: Tensor = (y_mean_C + said_NC).to(y_NC.dtype)
    return all_NC


def _ridge(own_nF: Tensor, y_nC: Tensor, value_F: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (F, C) and leave-one-out residuals (n, C) in the eigenbasis; ``value_F`` holds the penalty."""
    weight_FC = own_nF.T @ y_nC / value_F.unsqueeze(-1)
    leverage_n = 1 / len(own_nF) + (own_nF.square() / value_F).sum(dim=1)
    return weight_FC, (y_nC - own_nF @ weight_FC) / (1 - leverage_n).clamp(min=1e-6).unsqueeze(-1)
