"""The meta-learned model: items, user prior and evidence, joined by the inner loop.

Its forward is the outer loss: how well users are served after adaptation, as a function of the prior.
Knows nothing of optimisers, passes or workers.

Shapes: B users, S support (padded), N catalogue, F user features, D embedding.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from engine.data.episodes import Episodes, moved
from engine.learning.descent import Descent
from engine.learning.episodic_ridge import EpisodicRidge
from engine.learning.evidence import N_GROUPS, Evidence, log2_group
from engine.learning.inner_loop import ClosedForm, Posterior, Support
from engine.learning.items import ItemRepresentation, Items
from engine.learning.objectives import Objective
from engine.learning.prior import UserPrior

Rule = Literal["maml", "reptile"]


class Noise(NamedTuple):
    """Dropout masks of one outer step, already scaled by 1 / (1 - share)."""

    posterior_BD: Tensor
    user_BF: Tensor
    hidden_N: Tensor

    def to(self, device: torch.device) -> Noise:
        return Noise(*(moved(mask, device) for mask in self))


class View(NamedTuple):
    """The catalogue and the prior as every user of a step sees them."""

    phi_ND: Tensor
    base_N: Tensor
    shown_N: Tensor  # bool: items that stand there as warm ones
    factor_DD: Tensor  # Cholesky factor of A0


class MetaModel(nn.Module):
    """``score_i = scale * w . phi_i + beta[S] b_i + h_i(u)`` with w the posterior of a user after S events.

    b is the base measure of everyone, h its shift for users with such a beginning (the episodic ridge).

    The forward is the outer loss, so that DistributedDataParallel around it averages gradients over
    workers; differentiating around the wrapper would leave them unaveraged without an error.
    """

    def __init__(
        self,
        items: ItemRepresentation,
        prior: UserPrior,
        evidence: Evidence,
        inner: ClosedForm | Descent,
        objective: Objective,
        scale: float,
        ridge: EpisodicRidge | None = None,
    ) -> None:
        """
        Args:
            inner: how users adapt.
            objective: what is learned.
            scale: where the scale of scores starts.
            ridge: what shifts the base measure; not of ratings.
        """
        super().__init__()
        self.items, self.prior, self.evidence = items, prior, evidence
        self.inner, self.objective, self.ridge = inner, objective, ridge
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.log_scale_D = nn.Parameter(torch.zeros_like(prior.log_precision_D))
        self.log_base_weight_A = nn.Parameter(torch.zeros(N_GROUPS))

    def forward(
        self, episodes: Episodes, fold: int | None, noise: Noise, rule: Rule, population_weight: float
    ) -> Tensor:
        """What one step of the outer loop lowers, summed over the batch; all users are of one ``fold``.

        ``maml``: L(D_u, M_theta*) + alpha L(D, M_theta), over the query pairs. ``reptile``: how far the
        support took users from the prior.
        """
        view = self.view(noise.hidden_N, fold)
        w0_BD = self.prior.mean(episodes.user_x * noise.user_BF)
        posterior, shots_B = self.adapt(view, w0_BD, episodes), episodes.shots
        if rule == "reptile" and isinstance(self.inner, Descent):
            return self.inner.reptile_loss(w0_BD, posterior)
        shift_BN = self.shift(view, episodes, fold)
        scores_BN = self._askable(self.score(view, noisy(posterior, noise), shots_B) + shift_BN)
        loss = self.objective.loss(scores_BN, episodes)
        if population_weight:
            stranger = replace(episodes, present=torch.zeros_like(episodes.present))
            start = noisy(self.inner.start(w0_BD), noise)
            unadapted_BN = self.score(view, start, stranger.shots) + self.shift(view, stranger, fold)
            unadapted_BN = self._askable(unadapted_BN)
            loss = loss + population_weight * self.objective.loss(unadapted_BN, episodes)
        return loss

    def _askable(self, scores_BN: Tensor) -> Tensor:
        """Items without events are no candidates: that nobody took them does not say that nobody would."""
        return scores_BN if self.items.warm_N.all() else scores_BN.masked_fill(~self.items.warm_N, -1e9)

    def view(self, hidden_N: Tensor | None = None, fold: int | None = None) -> View:
        """What does not depend on the user; compute it once and serve many."""
        items: Items = self.items(hidden_N, fold)
        factor_DD = torch.linalg.cholesky(self.prior.precision(items.phi_ND))
        return View(*items, factor_DD)

    def adapt(self, view: View, w0_BD: Tensor, episodes: Episodes) -> Posterior:
        """The inner loop: where each user stands after the support."""
        target_BS, precision_BS = self.evidence(
            episodes.support_signal, episodes.support_age, episodes.support_elapsed, episodes.present
        )
        item_BS = episodes.support_item
        target_BS = target_BS - self.objective.offset(view.base_N, item_BS)
        support = Support(view.phi_ND[item_BS], target_BS, precision_BS)
        posterior: Posterior = self.inner(w0_BD, support, view.factor_DD)
        return posterior

    def score(self, view: View, posterior: Posterior, shots_B: Tensor) -> Tensor:
        """scores_BN; higher is better. How much the base measure counts depends on the shots."""
        base_weight_B1 = self.log_base_weight_A[log2_group(shots_B)].exp().unsqueeze(-1)
        scale_D = (self.log_scale + self.log_scale_D).exp()
        own_BN: Tensor = self.inner.affinity(view.phi_ND, posterior, scale_D)
        return own_BN + base_weight_B1 * view.base_N

    def shift(self, view: View, episodes: Episodes, fold: int | None = None) -> Tensor:
        """What such beginnings say beyond the base measure, (B, N) or a single 0."""
        if self.ridge is None:
            return view.base_N.new_zeros(())
        shift_BN: Tensor = self.ridge(self.items.spectral_ND, episodes, view.shown_N, fold)
        return shift_BN

    def predict(self, view: View, episodes: Episodes) -> Tensor:
        """Adapt and score, without dropout, (B, N)."""
        posterior = self.adapt(view, self.prior.mean(episodes.user_x), episodes)
        return self.score(view, posterior, episodes.shots) + self.shift(view, episodes)


def noisy(posterior: Posterior, noise: Noise) -> Posterior:
    """With dropout on w."""
    return posterior._replace(w_BD=posterior.w_BD * noise.posterior_BD)
