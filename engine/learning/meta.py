"""The meta-learned model: items, user prior and evidence, joined by the inner loop.

Its forward is the outer loss: how well users are served after adaptation, as a function of the prior.
Knows nothing of optimisers, passes or workers.

Shapes: B users, S support (padded), N catalogue, F user features, D embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.data.episodes import Episodes
from engine.learning.closed_form import posterior_dual, posterior_primal
from engine.learning.evidence import N_GROUPS, Evidence, log2_group
from engine.learning.items import ItemRepresentation
from engine.learning.objectives import ranking_loss
from engine.learning.prior import UserPrior


class Noise(NamedTuple):
    """Dropout masks of one outer step, already scaled by 1 / (1 - share)."""

    posterior_BD: Tensor
    user_BF: Tensor
    hidden_N: Tensor

    def to(self, device: torch.device) -> Noise:
        return Noise(*(mask.to(device) for mask in self))


class View(NamedTuple):
    """The catalogue and the prior as every user of a step sees them."""

    phi_ND: Tensor
    base_N: Tensor
    factor_DD: Tensor  # Cholesky factor of A0


class MetaModel(nn.Module):
    """``score_i = scale * w . phi_i + beta[S] b_i`` with w the posterior of a user after S events.

    The forward is the outer loss, so that DistributedDataParallel around it averages gradients over
    workers; differentiating around the wrapper would leave them unaveraged without an error.
    """

    def __init__(self, items: ItemRepresentation, prior: UserPrior, evidence: Evidence, scale: float) -> None:
        super().__init__()
        self.items, self.prior, self.evidence = items, prior, evidence
        self.log_scale_D = nn.Parameter(torch.full_like(prior.mean_D, math.log(scale)))
        self.log_base_weight_A = nn.Parameter(torch.zeros(N_GROUPS))

    def forward(self, episodes: Episodes, noise: Noise, population_weight: float) -> Tensor:
        """L(D_u, M_theta*) + alpha L(D, M_theta), summed over the query pairs of the batch."""
        view = self.view(noise.hidden_N)
        w0_BD = self.prior.mean(episodes.user_x * noise.user_BF)
        w_BD, shots_B = self.adapt(view, w0_BD, episodes), episodes.shots
        loss = self._query_loss(view, w_BD * noise.posterior_BD, shots_B, episodes)
        if population_weight:
            none_B = torch.zeros_like(shots_B)
            unadapted = self._query_loss(view, w0_BD * noise.posterior_BD, none_B, episodes)
            loss = loss + population_weight * unadapted
        return loss

    def view(self, hidden_N: Tensor | None = None) -> View:
        """What does not depend on the user; compute it once and serve many."""
        items = self.items(hidden_N)
        return View(items.phi_ND, items.base_N, torch.linalg.cholesky(self.prior.precision(items.phi_ND)))

    def adapt(self, view: View, w0_BD: Tensor, episodes: Episodes) -> Tensor:
        """The inner loop: the posterior mean of each user, (B, D).

        Solves in whichever of the two forms is smaller: S x S, or D x D where S > D.
        """
        target_BS, precision_BS = self.evidence(
            episodes.support_signal, episodes.support_age, episodes.present
        )
        support_BSD = view.phi_ND[episodes.support_item]
        if support_BSD.shape[1] > support_BSD.shape[2]:
            a0_DD = view.factor_DD @ view.factor_DD.T
            return posterior_primal(w0_BD, a0_DD, support_BSD, target_BS, precision_BS)[0]
        spread_BSD = torch.cholesky_solve(support_BSD.flatten(0, 1).T, view.factor_DD).T.view_as(support_BSD)
        return posterior_dual(w0_BD, support_BSD, spread_BSD, target_BS, precision_BS)

    def score(self, view: View, w_BD: Tensor, shots_B: Tensor) -> Tensor:
        """scores_BN; higher is better. How much the base measure counts depends on the shots."""
        base_weight_B1 = self.log_base_weight_A[log2_group(shots_B)].exp().unsqueeze(-1)
        return (w_BD * self.log_scale_D.exp()) @ view.phi_ND.T + base_weight_B1 * view.base_N

    def predict(self, view: View, episodes: Episodes) -> Tensor:
        """Adapt and score, without dropout, (B, N)."""
        w_BD = self.adapt(view, self.prior.mean(episodes.user_x), episodes)
        return self.score(view, w_BD, episodes.shots)

    def _query_loss(self, view: View, w_BD: Tensor, shots_B: Tensor, episodes: Episodes) -> Tensor:
        """Items without events are no candidates: that nobody took them does not say that nobody would."""
        return ranking_loss(
            self.score(view, w_BD, shots_B).masked_fill(~self.items.warm_N, -1e9),
            episodes.query_user,
            episodes.query_item,
            episodes.barred_user,
            episodes.barred_item,
        )


def model_from_state(state: Mapping[str, Tensor]) -> MetaModel:
    """The model whose ``state_dict`` is ``state``: all shapes are read from it.

    Raises:
        KeyError, RuntimeError: tensors are missing, superfluous or do not fit each other.
    """
    items = ItemRepresentation(
        *(
            state[f"items.{name}"]
            for name in ("spectral_ND", "base_N", "warm_N", "x_NF", "imputed_ND", "imputed_base_N")
        )
    )
    n_features, dim = state["prior.from_features_FD"].shape
    model = MetaModel(
        items, UserPrior(dim, n_features, 1.0, 1.0), Evidence(state["evidence.target_R"], 1.0), 1.0
    )
    model.load_state_dict(dict(state))
    return model.eval()
