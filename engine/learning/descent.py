"""The inner loop by gradient descent, as the model uses it: how far, how fast and which layers move.

Joins the pure functions of ``gradient`` and ``reptile`` to the model. Knows nothing of items' features,
signals, queries or optimisers.

Shapes: B users, S support (padded), N catalogue, D embedding, H hidden units.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.learning.catalogue_product import catalogue_product
from engine.learning.gradient import (
    COEFFICIENTS,
    Affine,
    Params,
    adapt_users,
    adapt_users_dual,
    affine_dual,
    bernoulli_loss,
    gaussian_loss,
    output_dual,
    prior_pull_loss,
)
from engine.learning.inner_loop import Decision, Posterior, Support
from engine.learning.objectives import Likelihood
from engine.learning.reptile import reptile_loss


class Descent(nn.Module):
    """``steps`` of ``theta <- theta - inner_lr * grad [support loss + prior_pull * distance to the prior]``.

    ``hidden`` = 0: the head alone adapts, ``s = w . phi`` (ANIL). Otherwise the layers above the embedding
    adapt with it, ``s = w . phi + v . relu(phi W + b)``, all of w, v, W and b (MAML, MeLU); all users start
    from the same v, W and b.

    Source: see ``engine.learning.gradient``.
    """

    def __init__(
        self,
        likelihood: Likelihood,
        dim: int,
        hidden: int,
        inner_lr: float,
        steps: int,
        second_order: bool,
        learn_inner_lr: bool,
        prior_pull: float,
        seed: int = 0,
    ) -> None:
        """
        Args:
            likelihood: of a support event.
            dim: D.
            hidden: H, 0 for the head alone.
            inner_lr: step size, where it starts if it is learned.
            learn_inner_lr: one rate for each entry of w and v and each unit of the layer (Meta-SGD).
            prior_pull: weight of the pull of w and v to where they start.
            seed: of the layers' random start.
        """
        super().__init__()
        self.likelihood, self.steps = likelihood, steps
        self.second_order, self.prior_pull, self.hidden = second_order, prior_pull, hidden
        sizes = {"w": dim} | ({"head": hidden, COEFFICIENTS: hidden} if hidden else {})
        self.inner_lr = nn.ParameterDict(
            {
                name: nn.Parameter(torch.full((size,), inner_lr), requires_grad=learn_inner_lr)
                for name, size in sizes.items()
            }
        )
        if hidden:
            generator = torch.Generator().manual_seed(seed)
            self.weight_DH = nn.Parameter(torch.randn(dim, hidden, generator=generator) / math.sqrt(dim))
            self.bias_H = nn.Parameter(torch.zeros(hidden))
            self.head_H = nn.Parameter(torch.randn(hidden, generator=generator) / hidden)
            self.log_scale_H = nn.Parameter(torch.zeros(hidden))

    @property
    def layer(self) -> Affine:
        """The first layer above the embedding, where all users start."""
        return Affine(self.weight_DH, self.bias_H)

    def start(self, w0_BD: Tensor) -> Posterior:
        if not self.hidden:
            return Posterior(w0_BD)
        n, dim = w0_BD.shape
        none_BSD, none_BSH = w0_BD.new_zeros(n, 0, dim), w0_BD.new_zeros(n, 0, self.hidden)
        return Posterior(w0_BD, Decision(none_BSD, none_BSH, self.head_H.expand(n, -1)))

    def forward(self, w0_BD: Tensor, support: Support, factor_DD: Tensor) -> Posterior:
        return (self._decision if self.hidden else self._head)(w0_BD, support, factor_DD)

    def _head(self, w0_BD: Tensor, support: Support, factor_DD: Tensor) -> Posterior:
        def loss(params: Params, events: tuple[Tensor, ...]) -> Tensor:
            phi_SD, target_S, precision_S, w0_D = events
            fit = self._fit(phi_SD @ params["w"], target_S, precision_S)
            return fit + prior_pull_loss(params["w"], w0_D, factor_DD, self.prior_pull)

        rates, events = dict(self.inner_lr.items()), (*support, w0_BD)
        adapted = adapt_users(loss, {}, {"w": w0_BD}, events, rates, self.steps, self.second_order)
        return Posterior(adapted["w"])

    def _decision(self, w0_BD: Tensor, support: Support, factor_DD: Tensor) -> Posterior:
        def loss(params: Params, z_SH: Tensor, events: tuple[Tensor, ...]) -> Tensor:
            phi_SD, target_S, precision_S, w0_D = events
            score_S = phi_SD @ params["w"] + z_SH.relu() @ params["head"]
            moved = (params["head"] - self.head_H).square().sum()
            pull = prior_pull_loss(params["w"], w0_D, factor_DD, self.prior_pull)
            return self._fit(score_S, target_S, precision_S) + pull + 0.5 * self.prior_pull * moved

        adapted = adapt_users_dual(
            loss,
            self.layer,
            support.phi_BSD,
            {"head": self.head_H},
            {"w": w0_BD},
            (*support, w0_BD),
            dict(self.inner_lr.items()),
            self.steps,
            self.second_order,
        )
        x_BSD = support.phi_BSD if self.second_order else support.phi_BSD.detach()
        return Posterior(adapted["w"], Decision(x_BSD, adapted[COEFFICIENTS], adapted["head"]))

    def affinity(self, phi_ND: Tensor, posterior: Posterior, scale_D: Tensor) -> Tensor:
        linear_BN = catalogue_product(posterior.w_BD * scale_D, phi_ND)
        if posterior.decision is None:
            return linear_BN
        x_BSD, coefficients_BSH, head_BH = posterior.decision
        hidden_BNH = output_dual(phi_ND, self.layer, x_BSD, coefficients_BSH).relu()
        return linear_BN + (hidden_BNH @ (head_BH * self.log_scale_H.exp()).unsqueeze(-1)).squeeze(-1)

    def reptile_loss(self, w0_BD: Tensor, posterior: Posterior) -> Tensor:
        """Half the squared way that users went from the prior, its end held fixed; summed over users."""
        start, end = {"w": w0_BD}, {"w": posterior.w_BD}
        if posterior.decision is not None:
            x_BSD, coefficients_BSH, head_BH = posterior.decision
            own = affine_dual(self.layer, x_BSD, coefficients_BSH)
            start |= {"head": self.head_H, "weight": self.weight_DH, "bias": self.bias_H}
            end |= {"head": head_BH, "weight": own.weight_DH, "bias": own.bias_H}
        return reptile_loss(start, end)

    def _fit(self, score_S: Tensor, target_S: Tensor, precision_S: Tensor) -> Tensor:
        if self.likelihood == "gaussian":
            return gaussian_loss(score_S, target_S, precision_S)
        return bernoulli_loss(score_S, target_S.clamp(0.0, 1.0), precision_S)
