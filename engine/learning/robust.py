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
    w_BSD: Tensor  # the posterior means that foresaw them


class Choices(NamedTuple):
    """The items that anybody chooses: log-popularity beside the mean item's, and phi's moments under it.

    Of rankings. The base measure of clicks is log-odds, which are nearly the same where most items are rare.
    """

    popularity_N: Tensor
    mean_D: Tensor
    covariance_DD: Tensor

    @classmethod
    def of(cls, phi_ND: Tensor, base_N: Tensor) -> Choices:
        """From log-popularity; the moments are not learned through."""
        share_N, phi_ND = base_N.detach().softmax(0), phi_ND.detach()
        mean_D = share_N @ phi_ND
        covariance_DD = phi_ND.T @ (share_N.unsqueeze(-1) * phi_ND) - mean_D.outer(mean_D)
        return cls(base_N - base_N.logsumexp(0) + math.log(len(base_N)), mean_D, covariance_DD)

    def usual(self, w_BSD: Tensor, scale: Tensor) -> Tensor:
        """``log E exp(scale w . phi) / scale`` over what anybody chooses, to the second order, (B, S)."""
        variance_BS = ((w_BSD @ self.covariance_DD) * w_BSD).sum(dim=-1)
        return w_BSD @ self.mean_D + 0.5 * scale * variance_BS


class Weights(NamedTuple):
    """What becomes of events."""

    precision_BS: Tensor  # by what to multiply it, > 0
    own_BS: Tensor | None = None  # how sure it is that an event is the person's own, if that is asked


class Doubt(Protocol):
    """How much to believe each event. A module: it learns how much to doubt."""

    def __call__(
        self, left_out: LeftOut, target_BS: Tensor, item_BS: Tensor, choices: Choices | None
    ) -> Weights:
        """
        Args:
            target_BS, item_BS: what the events say, and of which items.
            choices: None for numbers, which nobody chooses.
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
        w_without_s = w0 + A0^-1 phi^T r (a - (K^-1)_:s a_s / (K^-1)_ss)

    What the padding says is finite and means nothing.

    Args: as for ``posterior_dual``, but factor_DD: lower Cholesky factor of A0; inverse_DD: A0^-1, if known.

    Source: Rasmussen & Williams 2006, eq. 5.10-5.12.
    """
    root_BS = precision_BS.clamp_min(1e-12).sqrt()
    root_BS1 = root_BS.unsqueeze(-1) * (precision_BS > 0).unsqueeze(-1)
    spread_BSD = spread(support_BSD, factor_DD, inverse_DD)
    gram_BSS = (root_BS1 * support_BSD) @ (root_BS1 * spread_BSD).mT
    gram_BSS = gram_BSS + torch.eye(gram_BSS.shape[-1], dtype=gram_BSS.dtype, device=gram_BSS.device)
    inverse_BSS = torch.cholesky_inverse(torch.linalg.cholesky(gram_BSS))
    surprise_BS1 = root_BS1 * (target_BS.unsqueeze(-1) - support_BSD @ w0_BD.unsqueeze(-1))
    own_BS = inverse_BSS.diagonal(dim1=-2, dim2=-1)
    dual_BS1 = inverse_BSS @ surprise_BS1
    residual_BS = dual_BS1.squeeze(-1) / (root_BS * own_BS)
    without_BSS = dual_BS1 - inverse_BSS * (dual_BS1 / own_BS.unsqueeze(-1)).mT  # a column for each left out
    w_BSD = w0_BD.unsqueeze(1) + without_BSS.mT @ (root_BS1 * spread_BSD)
    return LeftOut(residual_BS, precision_BS * own_BS, w_BSD)


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

    def forward(
        self, left_out: LeftOut, target_BS: Tensor, item_BS: Tensor, choices: Choices | None
    ) -> Weights:
        dof = self.log_dof.exp()
        z2_BS = left_out.residual_BS.square() * left_out.precision_BS
        return Weights((dof + 1.0) / (dof + z2_BS))


class Credence(nn.Module):
    """Of choices: ``sigmoid(odds + a l + b (m - z)) * exp(-d l)``: whose is it, and what does it tell?

    l is the item's log-popularity beside the mean item's, m the score that the person's other events
    foresaw, z what the normaliser takes off it. An event is a choice of theirs or an item at random. By
    Bayes' rule the log-odds are a constant plus the log of how likely they were to choose it, which is the
    ranking's own score less its normaliser, ``l + scale (m - z)``: where a and b start. A choice tells more
    the rarer the item, d. All four numbers are learned.
    """

    normalised: Tensor

    def __init__(self, scale: float) -> None:
        """
        Args:
            scale: of scores.
        """
        super().__init__()
        self.register_buffer("normalised", torch.tensor(True))
        odds = math.log((1.0 - RANDOM_SHARE) / RANDOM_SHARE)
        self.numbers = nn.Parameter(torch.tensor([odds, 1.0, scale, 0.0]))

    def forward(
        self, left_out: LeftOut, target_BS: Tensor, item_BS: Tensor, choices: Choices | None
    ) -> Weights:
        assert choices is not None
        odds, popularity, foresight, rarity = self.numbers
        popularity_BS = choices.popularity_N[item_BS]
        foreseen_BS = target_BS - left_out.residual_BS
        if self.normalised:  # older artifacts know no z, and their ridge believes every event
            foreseen_BS = foreseen_BS - choices.usual(left_out.w_BSD, foresight)
        own_BS = (odds + popularity * popularity_BS + foresight * foreseen_BS).sigmoid()
        weight_BS = own_BS * (-rarity * popularity_BS).exp()
        return Weights(weight_BS, own_BS if self.normalised else None)
