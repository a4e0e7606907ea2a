"""What the model knows of an item: its embedding phi and its base measure.

Knows nothing of users or of adaptation.

Shapes: N catalogue, F item features, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from engine.learning.likeness import likeness_factors
from engine.learning.sparse_features import SparseFeatures

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""As many items must share a feature before it is half believed; the data choose among them."""


class Items(NamedTuple):
    """The catalogue as one step sees it."""

    phi_ND: Tensor
    base_N: Tensor
    shown_N: Tensor  # bool: with all that is known of them, not by their features alone


class ItemRows(NamedTuple):
    """What is kept of items, each by itself: of the whole catalogue, or of those that a step needs."""

    spectral_ND: Tensor
    base_N: Tensor
    warm_N: Tensor  # bool
    imputed_ND: Tensor
    imputed_base_N: Tensor
    residual_ND: Tensor
    base_residual_N: Tensor
    times: Callable[[Tensor], Tensor]  # their features by a weight (F, C), giving (N, C)


class Parts(NamedTuple):
    """What counting says of the items, without each fold of training users."""

    spectral_FND: Tensor
    base_FN: Tensor
    warm_FN: Tensor  # bool


class ItemRepresentation(nn.Module):
    """``phi = diag(exp(g + p log s)) P0 + Delta + x E`` and ``b = b0 + residual``.

    P0 (the spectral start, s the lengths of its columns) and b0 (such as log-popularity) are fixed; g, p,
    Delta, E and the residual are learned: p bends the whole spectrum, g each dimension. Training users see P0
    and b0 as counted without their fold.
    A cold item has no P0, Delta or b of its own: what the warm items' features say of P0 and b0 (a ridge
    regression) takes their place, and the learned ``x beta`` that of the residual. ``hidden`` items are
    shown like cold ones (item dropout), so that features learn to stand in for the rest. P0 may hold
    columns of the features' own likeness. Cold items are stretched further, by one learned number where P0
    is counted and one where it is likeness: a regression shrinks what it is not sure of, and likeness,
    which says little of items with events, is most of what is known of those without. A column that is 1
    for every item is not stretched.
    """

    spectral_ND: Tensor
    base_N: Tensor
    warm_N: Tensor
    known_N: Tensor
    x_NF: Tensor
    imputed_ND: Tensor
    imputed_base_N: Tensor
    cold_group_D: Tensor
    log_length_D: Tensor
    spectral_FND: Tensor | None
    base_FN: Tensor
    warm_FN: Tensor

    def __init__(
        self,
        spectral_ND: Tensor,
        base_N: Tensor,
        warm_N: Tensor,
        x_NF: Tensor,
        imputed_ND: Tensor,
        imputed_base_N: Tensor,
        *,
        n_alike: int = 0,
        level: bool = False,
    ) -> None:
        """
        Args:
            spectral_ND: P0; its last ``n_alike`` columns are of the features' likeness. With ``level`` the
                one before them is 1 for every item.
            base_N: b0, such as log-popularity.
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
        self.register_buffer("known_N", warm_N.to(base_N.dtype))  # share of users who met the item
        self.register_buffer("x_NF", x_NF)
        self.register_buffer("imputed_ND", imputed_ND)
        self.register_buffer("imputed_base_N", imputed_base_N)
        group_D = 1 + (torch.arange(dim) >= dim - n_alike).long()
        if level:
            group_D[dim - n_alike - 1] = 0
        self.register_buffer("cold_group_D", group_D)  # stretched: 0 not, 1 as counted, 2 as likeness
        self.features = SparseFeatures(x_NF)
        for name in Parts._fields:
            self.register_buffer(name, None, persistent=False)
        length_D = spectral_ND.square().sum(dim=0).clamp(min=1e-6)
        self.register_buffer("log_length_D", 0.5 * (length_D / length_D.mean()).log(), persistent=False)
        self.power = nn.Parameter(torch.zeros(()))
        self.log_gain_D = nn.Parameter(torch.zeros(dim))
        self.log_cold_gain_2 = nn.Parameter(torch.zeros(2))
        self.residual_ND = nn.Parameter(torch.zeros(n, dim))
        self.encoder_FD = nn.Parameter(torch.zeros(n_features, dim))
        self.base_residual_N = nn.Parameter(torch.zeros(n))
        self.cold_base_F = nn.Parameter(torch.zeros(n_features))

    @classmethod
    def start(
        cls,
        spectral_ND: Tensor,
        base_N: Tensor,
        known_N: Tensor,
        x_NF: Tensor,
        likeness_dim: int = 0,
        level: bool = False,
    ) -> ItemRepresentation:
        """Where training starts: what stands for P0 and b0 is predicted from the warm items' features.

        ``known_N`` is the share of users who met each item. ``likeness_dim`` columns of the features'
        likeness are joined to P0, the same for cold items as for warm ones. ``level``: its last column is 1
        for every item.
        """
        warm_N = known_N > 0
        alike_ND = likeness_factors(x_NF, likeness_dim)
        imputed_ND = torch.cat([predicted(x_NF, spectral_ND, warm_N), alike_ND], dim=1)
        spectral_ND = torch.cat([spectral_ND, alike_ND], dim=1)
        imputed_base_N = predicted(x_NF, base_N[:, None], warm_N, certainty(known_N))[:, 0]
        n_alike = alike_ND.shape[1]
        items = cls(
            spectral_ND, base_N, warm_N, x_NF, imputed_ND, imputed_base_N, n_alike=n_alike, level=level
        )
        items.known_N.copy_(known_N)
        return items

    def forward(self, hidden_N: Tensor | None = None, fold: int | None = None) -> Items:
        """The catalogue; while training with ``hidden`` items, for users of a ``fold``."""
        spectral_ND, base_N, warm_N = self._counted(fold)
        imputed, residuals = (self.imputed_ND, self.imputed_base_N), (self.residual_ND, self.base_residual_N)
        return self.represent(
            ItemRows(spectral_ND, base_N, warm_N, *imputed, *residuals, self.features), hidden_N
        )

    def represent(self, rows: ItemRows, hidden_N: Tensor | None = None) -> Items:
        """Any items, as what is learned of all items makes of them."""
        shown_N = rows.warm_N if hidden_N is None else rows.warm_N & ~hidden_N
        shown_N1 = shown_N.unsqueeze(-1)
        start_ND = torch.where(shown_N1, rows.spectral_ND, rows.imputed_ND)
        own_ND = torch.addcmul(shown_N1 * rows.residual_ND, start_ND, self.gain())
        cold = (~shown_N).nonzero().squeeze(1)  # few: only they are touched again
        further_D = self.gain() * (self.cold_gain() - 1)
        own_ND = own_ND.index_add(0, cold, rows.imputed_ND[cold] * further_D)
        cold_N = rows.imputed_base_N + rows.times(self.cold_base_F.unsqueeze(-1)).squeeze(-1)
        base_N = torch.where(shown_N, rows.base_N + rows.base_residual_N, cold_N)
        return Items(own_ND + rows.times(self.encoder_FD), base_N, shown_N)

    def gain(self) -> Tensor:
        """By how much each dimension of P0 is stretched, (D,)."""
        return (self.log_gain_D + self.power * self.log_length_D).exp()

    def cold_gain(self) -> Tensor:
        """By how much more it is stretched where an item is cold, (D,)."""
        return pad(self.log_cold_gain_2, (1, 0))[self.cold_group_D].exp()

    def cross_fit(self, parts: Parts) -> None:
        """From now on show training users what counting says without their fold; likeness stays."""
        alike_ND = self.spectral_ND[:, parts.spectral_FND.shape[2] :]
        alike_FND = alike_ND.expand(len(parts.spectral_FND), -1, -1)
        parts = parts._replace(spectral_FND=torch.cat([parts.spectral_FND, alike_FND], dim=2))
        for name, part in parts._asdict().items():
            self.register_buffer(name, part, persistent=False)

    def _counted(self, fold: int | None) -> tuple[Tensor, Tensor, Tensor]:
        if fold is None or self.spectral_FND is None:
            return self.spectral_ND, self.base_N, self.warm_N
        return self.spectral_FND[fold], self.base_FN[fold], self.warm_FN[fold]


def certainty(known_N: Tensor) -> Tensor:
    """How much an item says of what its features mean for the base measure: ``sqrt(known)``, (N,).

    A logarithm of a count n has the variance 1 / n: full weights would be n, and let a few hits decide; equal
    ones let the many items hardly anybody met decide, from which nothing is recommended.
    """
    return known_N.sqrt()


def predicted(x_NF: Tensor, y_NC: Tensor, known_N: Tensor, weight_N: Tensor | None = None) -> Tensor:
    """What the features say of y for every item, by a ridge regression on the known ones, (N, C).

    For a known item it is what the *other* items' features say, so that a hidden item is no better placed
    than one nobody has met. Of ``PENALTIES`` the one with the least squared error of these predictions is
    taken. The intercept is not penalised: an item without features gets the known ones' mean.

        y_i - yhat_without_i = (y_i - yhat_i) / (1 - h_i),  h_i = c_i (1/n + x_i (X^T C X + penalty I)^-1 x_i)

    ``weight_N`` are c, to be scaled to a mean of 1 over the known items; none: 1.

    Source: the leave-one-out residual of Allen 1974 (PRESS).
    """
    if not known_N.any():
        return torch.zeros_like(y_NC)
    x, y = x_NF.double(), y_NC.double()
    c_N = torch.ones(len(y), device=y.device) if weight_N is None else weight_N
    c_n1 = (c_N[known_N] / c_N[known_N].mean()).double().unsqueeze(-1)
    x_mean_F, y_mean_C = (c_n1 * x[known_N]).mean(dim=0), (c_n1 * y[known_N]).mean(dim=0)
    centred_nF = c_n1.sqrt() * (x[known_N] - x_mean_F)
    value_F, vector_FF = torch.linalg.eigh(centred_nF.T @ centred_nF)
    turned_NF = (x - x_mean_F) @ vector_FF
    own_nF, y_nC = turned_NF[known_N], y[known_N] - y_mean_C
    fits = [_ridge(own_nF, y_nC, c_n1, value_F.clamp(min=0) + penalty) for penalty in PENALTIES]
    weight_FC, error_nC = min(fits, key=lambda fit: float((c_n1 * fit[1].square()).sum()))
    said_NC = turned_NF @ weight_FC
    said_NC[known_N] = y_nC - error_nC
    all_NC: Tensor = (y_mean_C + said_NC).to(y_NC.dtype)
    return all_NC


def _ridge(own_nF: Tensor, y_nC: Tensor, c_n1: Tensor, value_F: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (F, C) and leave-one-out residuals (n, C) in the eigenbasis; ``value_F`` holds the penalty."""
    weight_FC = own_nF.T @ (c_n1 * y_nC) / value_F.unsqueeze(-1)
    leverage_n1 = c_n1 * (1 / len(own_nF) + (own_nF.square() / value_F).sum(dim=1, keepdim=True))
    return weight_FC, (y_nC - own_nF @ weight_FC) / (1 - leverage_n1).clamp(min=1e-6)
