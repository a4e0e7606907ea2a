"""Events that do not fit the rest count less: weights from what a user's other events foresaw of each.

Numbers have residuals, whose tails are learned; of what is chosen one asks instead whether this person would
have chosen it. Knows nothing of signals or of how the prior was learned.

Shapes: B users, S support (padded), D embedding.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from engine.learning.closed_form import spread

DOF = 4.0
"""Where the degrees of freedom of residuals start."""
RANDOM_SHARE = 0.1
"""Share of events that are not the person's own: where it starts."""


class LeftOut(NamedTuple):
    """What the prior and a user's other events say of each event."""

    residual_BS: Tensor  # of its target
    precision_BS: Tensor  # of this residual


class Doubt(Protocol):
    """By what to multiply each event's precision. A module: it learns how much to doubt."""

    def __call__(self, left_out: LeftOut, target_BS: Tensor, popularity_BS: Tensor) -> Tensor:
        """Weights > 0, (B, S).

        Args:
            target_BS: what the events say.
            popularity_BS: the item's log-popularity beside the mean item's.
        """


def leave_each_out(
    w0_BD: Tensor,
    support_BSD: Tensor,
    factor_DD: Tensor,
    target_BS: Tensor,
    precision_BS: Tensor,
    inverse_DD: Tensor | None = None,
) -> LeftOut:
    """Exact residuals of the closed form without each event, by one S x S inverse.

    With ``r = sqrt(c)``, ``K = r phi A0^-1 phi^T r + I`` and ``a = K^-1 r (t - phi w0)``

        t_s - phi_s w_without_s = a_s / (r_s (K^-1)_ss),  of precision c_s (K^-1)_ss

    What the padding says is finite and means nothing.

    Args: as for ``posterior_dual``, but factor_DD: lower Cholesky factor of A0; inverse_DD: A0^-1, if known.

    Source: Rasmussen & Williams 2006, eq. 5.10-5.12.
    """
    root_BS = precision_BS.clamp_min(1e-12).sqrt()
    root_BS1 = root_BS.unsqueeze(-1) * (precision_BS > 0).unsqueeze(-1)
    gram_BSS = (root_BS1 * support_BSD) @ (root_BS1 * spread(support_BSD, factor_DD, inverse_DD)).mT
    gram_BSS = gram_BSS + torch.eye(gram_BSS.shape[-1], dtype=gram_BSS.dtype, device=gram_BSS.device)
    inverse_BSS = torch.cholesky_inverse(torch.linalg.cholesky(gram_BSS))
    surprise_BS1 = root_BS1 * (target_BS.unsqueeze(-1) - support_BSD @ w0_BD.unsqueeze(-1))
    own_BS = inverse_BSS.diagonal(dim1=-2, dim2=-1)
    residual_BS = (inverse_BSS @ surprise_BS1).squeeze(-1) / (root_BS * own_BS)
    return LeftOut(residual_BS, precision_BS * own_BS)


class Tails(nn.Module):
    """Of numbers: ``(dof + 1) / (dof + z^2)``, the weight of a Student t likelihood; dof is learned.

    z is the residual in its own standard deviations: an event that the others foresaw counts a little more,
    one that contradicts them less. A user's only event is judged by the prior. At dof = infinity all weights
    are 1.

    Source: Lange, Little & Taylor 1989, eq. 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_dof = nn.Parameter(torch.tensor(math.log(DOF)))

    def forward(self, left_out: LeftOut, target_BS: Tensor, popularity_BS: Tensor) -> Tensor:
        dof = self.log_dof.exp()
        z2_BS = left_out.residual_BS.square() * left_out.precision_BS
        weight_BS: Tensor = (dof + 1.0) / (dof + z2_BS)
        return weight_BS


class Credence(nn.Module):
    """Of choices: ``sigmoid(odds + a l + b m) * exp(-d l)``: is it this person's, and what does it tell?

    l is the item's log-popularity beside the mean item's, m the score that the person's other events
    foresaw. An event is a choice of theirs or an item at random. By Bayes' rule the log-odds are a constant
    plus the log of how likely they were to choose it, which is the ranking's own score, ``l + scale m``:
    where a and b start. A choice tells more the rarer the item, d. All four numbers are learned.
    """

    def __init__(self, scale: float) -> None:
        """
        Args:
            scale: of scores.
        """
        super().__init__()
        odds = math.log((1.0 - RANDOM_SHARE) / RANDOM_SHARE)
        self.numbers = nn.Parameter(torch.tensor([odds, 1.0, scale, 0.0]))

    def forward(self, left_out: LeftOut, target_BS: Tensor, popularity_BS: Tensor) -> Tensor:
        odds, popularity, foresight, rarity = self.numbers
        foreseen_BS = target_BS - left_out.residual_BS
        own_BS = (odds + popularity * popularity_BS + foresight * foreseen_BS).sigmoid()
        weight_BS: Tensor = own_BS * (-rarity * popularity_BS).exp()
        return weight_BS
