"""The meta-learned model: items, user prior and evidence, joined by the inner loop.

Its forward is the outer loss: how well users are served after adaptation, as a function of the prior.
Knows nothing of optimisers, passes or workers.

Shapes: B users, S support (padded), N catalogue, F user features, D embedding.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from engine.data.episodes import Episodes, moved
from engine.learning.descent import Descent
from engine.learning.episodic_ridge import EpisodicRidge
from engine.learning.evidence import N_GROUPS, Evidence, log2_group
from engine.learning.inner_loop import ClosedForm, Posterior, Support
from engine.learning.items import ItemRepresentation, Items
from engine.learning.like_shots import joined, like_shots
from engine.learning.objectives import Objective
from engine.learning.prior import UserPrior
from engine.learning.robust import Choices, Credence, Doubt, Tails, leave_each_out
from engine.learning.small_catalogue import SmallCatalogue

if TYPE_CHECKING:
    from engine.learning.catalogue import Catalogue

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
    small: SmallCatalogue | None = None  # where these are not all items
    choices: Choices | None = None  # where it is asked whose events are


class Events(NamedTuple):
    """Support events as the inner loop takes them, padded."""

    item_BS: Tensor
    target_BS: Tensor
    precision_BS: Tensor


class MetaModel(nn.Module):
    """``score_i = scale * w . phi_i + beta[S] b_i + h_i(u)`` with w the posterior of a user after S events.

    b is the base measure of everyone, h its shift for users with such a beginning (the episodic ridge).

    The forward is the outer loss.
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
        doubt: Tails | Credence | None = None,
    ) -> None:
        """
        Args:
            inner: how users adapt.
            objective: what is learned.
            scale: where the scale of scores starts.
            ridge: what shifts the base measure; not of ratings.
            doubt: weighs events by how they fit the user's others.
        """
        super().__init__()
        self.items, self.prior, self.evidence = items, prior, evidence
        self.inner, self.objective, self.ridge, self.doubt = inner, objective, ridge, doubt
        self.catalogue: Catalogue | None = None  # where the items' tables are spread over workers
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.log_scale_D = nn.Parameter(torch.zeros_like(prior.log_precision_D))
        self.log_base_weight_A = nn.Parameter(torch.zeros(N_GROUPS))

    def forward(
        self,
        episodes: Episodes,
        fold: int | None,
        noise: Noise,
        rule: Rule,
        population_weight: float,
        small: SmallCatalogue | None = None,
    ) -> Tensor:
        """What one step of the outer loop lowers, summed over the batch; all users are of one ``fold``.

        Where the step sees a ``small`` catalogue, episodes and noise are in its terms.

        ``maml``: L(D_u, M_theta*) + alpha L(D, M_theta), over the query pairs. ``reptile``: how far the
        support took users from the prior.
        """
        view = self.view(noise.hidden_N, fold, small)
        w0_BD = self.prior.mean(episodes.user_x * noise.user_BF)
        posterior, shots_B = self.adapt(view, w0_BD, episodes), episodes.shots
        if rule == "reptile" and isinstance(self.inner, Descent):
            return self.inner.reptile_loss(w0_BD, posterior)
        shift_BN = self.shift(view, episodes, fold, posterior.own_BS)
        loss = self._loss(view, self.score(view, noisy(posterior, noise), shots_B) + shift_BN, episodes)
        if population_weight:
            stranger = replace(episodes, present=torch.zeros_like(episodes.present))
            start = noisy(self.inner.start(w0_BD), noise)
            unadapted_BN = self.score(view, start, stranger.shots) + self.shift(view, stranger, fold)
            loss = loss + population_weight * self._loss(view, unadapted_BN, episodes)
        return loss

    def _loss(self, view: View, scores_BN: Tensor, episodes: Episodes) -> Tensor:
        """Items without events are no candidates: that nobody took them does not say that nobody would."""
        warm_N, weight_N = self.items.warm_N, None
        if view.small is not None:
            warm_N, weight_N = view.small.rows.warm_N, view.small.weight_M
        askable_BN = scores_BN if warm_N.all() else scores_BN.masked_fill(~warm_N, -1e9)
        return self.objective.loss(askable_BN, episodes, weight_N)

    def view(
        self, hidden_N: Tensor | None = None, fold: int | None = None, small: SmallCatalogue | None = None
    ) -> View:
        """What does not depend on the user; compute it once and serve many.

        Of a ``small`` catalogue A0 is an estimate, its sum over the items being unbiased.
        """
        if small is None:
            items: Items = self.items(hidden_N, fold)
            phi_ND = items.phi_ND
        else:
            items = self.items.represent(small.rows, hidden_N)
            phi_ND = items.phi_ND * small.shares().sqrt().unsqueeze(-1)
        factor_DD = torch.linalg.cholesky(self.prior.precision(phi_ND))
        choices = Choices.of(items.phi_ND, items.base_N) if isinstance(self.doubt, Credence) else None
        return View(*items, factor_DD, small, choices)

    def adapt(self, view: View, w0_BD: Tensor, episodes: Episodes) -> Posterior:
        """The inner loop: where each user stands after the support."""
        target_BS, precision_BS = self.evidence(
            episodes.support_signal, episodes.support_age, episodes.support_elapsed, episodes.present
        )
        target_BS = target_BS - self.objective.offset(view.base_N, episodes.support_item)
        events = Events(episodes.support_item, target_BS, precision_BS)
        if isinstance(self.inner, Descent):
            support, own_BS = self._support(view, w0_BD, events, None)
            posterior: Posterior = self.inner(w0_BD, support, view.factor_DD)
            return posterior._replace(own_BS=own_BS)
        return self._adapt_in_groups(view, w0_BD, events, episodes.shots)

    def _adapt_in_groups(self, view: View, w0_BD: Tensor, events: Events, shots_B: Tensor) -> Posterior:
        """In closed form; users of like shots together."""
        groups, w_parts, own_parts = like_shots(shots_B), [], []
        inverse_DD = torch.cholesky_inverse(view.factor_DD) if len(groups) > 1 else None
        for users, width in groups:
            some = Events(*(part_BS[users, :width] for part_BS in events))
            support, own_BS = self._support(view, w0_BD[users], some, inverse_DD)
            w_parts.append(self.inner(w0_BD[users], support, view.factor_DD, inverse_DD).w_BD)
            if own_BS is not None:
                own_parts.append(pad(own_BS, (0, events.item_BS.shape[1] - own_BS.shape[1])))
        return Posterior(joined(groups, w_parts), None, joined(groups, own_parts) if own_parts else None)

    def _support(
        self, view: View, w0_BD: Tensor, events: Events, inverse_DD: Tensor | None
    ) -> tuple[Support, Tensor | None]:
        support = Support(view.phi_ND[events.item_BS], events.target_BS, events.precision_BS)
        if self.doubt is None:
            return support, None
        return doubted(self.doubt, w0_BD, support, events.item_BS, view, inverse_DD)

    def score(self, view: View, posterior: Posterior, shots_B: Tensor) -> Tensor:
        """scores_BN; higher is better. How much the base measure counts depends on the shots."""
        base_weight_B1 = self.log_base_weight_A[log2_group(shots_B)].exp().unsqueeze(-1)
        scale_D = (self.log_scale + self.log_scale_D).exp()
        own_BN: Tensor = self.inner.affinity(view.phi_ND, posterior, scale_D)
        return own_BN + base_weight_B1 * view.base_N

    def shift(
        self, view: View, episodes: Episodes, fold: int | None = None, own_BS: Tensor | None = None
    ) -> Tensor:
        """What such beginnings say beyond the base measure, (B, N) or a single 0; own_BS as of `inputs`."""
        if self.ridge is None:
            return view.base_N.new_zeros(())
        if view.small is None:
            spectral_ND, row_N = self.items.spectral_ND, None
        else:
            spectral_ND, row_N = view.small.rows.spectral_ND, view.small.row_M
        shift_BN: Tensor = self.ridge(spectral_ND, episodes, view.shown_N, fold, row_N, own_BS)
        return shift_BN

    def predict(self, view: View, episodes: Episodes) -> Tensor:
        """Adapt and score, without dropout, (B, N)."""
        posterior = self.adapt(view, self.prior.mean(episodes.user_x), episodes)
        shift_BN = self.shift(view, episodes, None, posterior.own_BS)
        return self.score(view, posterior, episodes.shots) + shift_BN


def doubted(
    doubt: Doubt,
    w0_BD: Tensor,
    support: Support,
    item_BS: Tensor,
    view: View,
    inverse_DD: Tensor | None = None,
) -> tuple[Support, Tensor | None]:
    """Events that do not fit the user's others are believed less; and `robust.Weights.own_BS`."""
    phi_BSD, target_BS, precision_BS = support
    left_out = leave_each_out(w0_BD, phi_BSD, view.factor_DD, target_BS, precision_BS, inverse_DD)
    weights = doubt(left_out, target_BS, item_BS, view.choices)
    return support._replace(precision_BS=precision_BS * weights.precision_BS), weights.own_BS


def noisy(posterior: Posterior, noise: Noise) -> Posterior:
    """With dropout on w."""
    return posterior._replace(w_BD=posterior.w_BD * noise.posterior_BD)
