"""Scores one user's catalogue; finds the best of it at less than the cost of reading it once.

Equal to `MetaModel.predict` within rounding; what does not depend on the user is computed before. Knows
nothing of item ids, items' features or requests.

Shapes: N catalogue, D embedding, B users, F user features, K slate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.events import Support
from engine.errors import RequestError
from engine.learning.descent import Descent
from engine.learning.meta import MetaModel
from engine.ranking.adapter import Adapter, episodes_of
from engine.ranking.arrays import array, group
from engine.ranking.base_shift import BaseShift, UserShift
from engine.ranking.bounded import best_by_bound, best_of
from engine.ranking.explore import Explore
from engine.ranking.posterior import UserPosterior, quadratic
from engine.ranking.sketch import Sketch
from engine.stopwatch import lap

FEW = 8
"""Where at most one in so many items is a candidate, only those are scored."""


@dataclass(frozen=True)
class Adapted:
    """One user, after adaptation."""

    support: Support
    user_x: NDArray[np.float32]
    posterior: UserPosterior
    shift: UserShift | None  # of the base measure, where the model has an episodic ridge

    @property
    def shots(self) -> int:
        return len(self.support.item_row)


class Scorer:
    """The model laid out for serving."""

    def __init__(self, model: MetaModel) -> None:
        with torch.inference_mode():
            self._view = model.view()
        self._model, items = model, model.items
        self.adapter = Adapter(model, self._view)
        self.phi_ND, self._base_N = array(self._view.phi_ND), array(self._view.base_N)
        self.known_N = array(items.known_N)
        self.scale_D = array((model.log_scale + model.log_scale_D).exp())
        self._base_weight_A: list[np.float32] = list(array(model.log_base_weight_A.exp()))
        self._shift = None
        if model.ridge is not None:
            warm_N, x_mean_F = items.warm_N.numpy(), array(model.prior.x_mean_F)
            self._shift = BaseShift(model.ridge, array(items.spectral_ND), warm_N, x_mean_F)
        self._is_linear = not (isinstance(model.inner, Descent) and model.inner.hidden)
        scale_DD = np.outer(self.scale_D, self.scale_D)
        self._metric_DD = self.adapter.prior.covariance_DD * scale_DD  # covariance of u under the prior
        self._sketch = Sketch(self.phi_ND, self._base_N, self._metric_DD)

    @property
    def n_items(self) -> int:
        return len(self.phi_ND)

    def adapt(self, support: Support, user_x: NDArray[np.float32]) -> Adapted:
        shift = None if self._shift is None else self._shift.of(support, user_x)
        return Adapted(support, user_x, self.adapter(support, user_x), shift)

    def predict(self, supports: list[Support], user_x_BF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of every item for several users, by the model itself, (B, N)."""
        with torch.inference_mode():
            return array(self._model.predict(self._view, episodes_of(supports, user_x_BF)))

    def scores(self, user: Adapted) -> NDArray[np.float32]:
        """Of every item, (N,)."""
        if not self._is_linear:
            return np.array(self.predict([user.support], user.user_x[None])[0])
        scores_N = self._unshifted(user, self._scaled(user.posterior.mean_D), 0.0, slice(None))
        if user.shift is not None:
            scores_N[user.shift.layout.item_C] += user.shift.all()
        return scores_N

    def best(
        self,
        user: Adapted,
        k: int,
        allowed_N: NDArray[np.bool_] | None = None,
        barred: NDArray[np.int64] | None = None,
        how: Explore | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and scores of the K best, in the order of ``how`` to explore, both (K,) or shorter.

        Args:
            allowed_N: the candidates; None: all items.
            barred: rows that are left out besides.
        """
        w_D, bonus = _explored(user.posterior, how)
        u_D = self._scaled(w_D)
        exact = partial(self._exact, user, u_D, bonus) if self._is_linear else None
        rows = _few(allowed_N, barred)
        if rows is not None and exact is not None:
            with lap("score"):
                scores = exact(rows)
            with lap("top_k"):
                rows_K, scores_K = best_of(rows, scores, k)
        else:
            with lap("score"):
                upper_N = self._bounds(user, u_D, bonus)
            if allowed_N is not None:
                upper_N[~allowed_N] = -np.inf
            if barred is not None:
                upper_N[barred] = -np.inf
            with lap("top_k"):
                rows_K, scores_K = best_by_bound(upper_N, k, exact)
        if how is not None:
            scores_K = self._exact(user, self._scaled(user.posterior.mean_D), 0.0, rows_K)
        return rows_K, scores_K

    def _bounds(self, user: Adapted, u_D: NDArray[np.float32], bonus: float) -> NDArray[np.float32]:
        """At least what each item is ordered by, (N,); just that where the model is not linear."""
        if not self._is_linear:
            return self.scores(user)
        upper_N = self._sketch.bounds(u_D, self._base_weight(user))
        if bonus:
            upper_N += np.float32(bonus) * self.prior_deviation  # events only lower it
        if user.shift is not None:
            upper_N[user.shift.layout.item_C] += user.shift.bounds()
        return upper_N

    def _exact(
        self, user: Adapted, u_D: NDArray[np.float32], bonus: float, rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """What some items are ordered by, (len(rows),)."""
        scores = self._unshifted(user, u_D, bonus, rows)
        if user.shift is not None:
            scores += user.shift.exact(rows)
        return scores

    def _unshifted(
        self, user: Adapted, u_D: NDArray[np.float32], bonus: float, rows: NDArray[np.int64] | slice
    ) -> NDArray[np.float32]:
        scores = self.phi_ND[rows] @ u_D
        scores += self._base_weight(user) * self._base_N[rows]
        if bonus:
            scores += np.float32(bonus) * self.deviations(user, rows)
        return np.asarray(scores)

    def _scaled(self, w_D: NDArray[np.float64]) -> NDArray[np.float32]:
        """u: the vector whose product with phi is a part of the score, (D,)."""
        return np.asarray(w_D * self.scale_D, np.float32)

    def _base_weight(self, user: Adapted) -> np.float32:
        return self._base_weight_A[group(user.shots)]

    def deviations(self, user: Adapted, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Standard deviation of the scores of some items under the posterior.

        Raises:
            RequestError: the model adapts by descent, which gives no posterior.
        """
        self.need_posterior()
        return user.posterior.deviation(self.phi_ND[rows] * self.scale_D).astype(np.float32)

    def need_posterior(self) -> None:
        if not self.adapter.is_exact:
            raise RequestError(
                "this model does not know how sure it is: it adapts by gradient descent",
                fix='Train it with inner.method = "closed_form" for uncertainty, explore and elicit.',
            )

    @cached_property
    def prior_deviation(self) -> NDArray[np.float32]:
        """Standard deviation of every item's score before any event, (N,)."""
        return np.sqrt(quadratic(self.phi_ND, self._metric_DD.astype(np.float32))).astype(np.float32)

    def likeness(self, row: int) -> NDArray[np.float32]:
        """How the scores of every item go with those of one, over all users before any event, (N,), -1..1.

        The correlation under the prior, ``phi_i A0^-1 phi_j`` over both deviations: the cosine in the prior's
        metric, so that dimensions in which people hardly differ hardly count.
        """
        with_N = self.phi_ND @ (self._metric_DD @ self.phi_ND[row]).astype(np.float32)
        return np.asarray(with_N / np.maximum(self.prior_deviation * self.prior_deviation[row], 1e-12))


def _explored(posterior: UserPosterior, how: Explore | None) -> tuple[NDArray[np.float64], float]:
    """The vector to order by, and how much a standard deviation counts besides."""
    if how is None:
        return posterior.mean_D, 0.0
    if how.method == "ucb":
        return posterior.mean_D, how.strength
    return posterior.draw(np.random.default_rng(how.seed), how.strength), 0.0


def _few(allowed_N: NDArray[np.bool_] | None, barred: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """The rows to score where they are few; None where the whole catalogue is scored sooner."""
    if allowed_N is None:
        return None
    rows = np.flatnonzero(allowed_N)
    if len(rows) * FEW > len(allowed_N):
        return None
    return rows if barred is None else np.setdiff1d(rows, barred)
