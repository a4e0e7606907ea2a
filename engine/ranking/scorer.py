"""Scores one user's catalogue at about the cost of reading it once.

Equal to `MetaModel.predict` within rounding, with all that does not depend on the user computed before.
Knows nothing of item ids, features of items or requests.

Shapes: N catalogue, D embedding, E = D + 1, F user features, M inputs and C items of the episodic ridge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.events import Support
from engine.errors import RequestError
from engine.learning.meta import MetaModel
from engine.ranking.adapter import Adapter, array, episodes_of
from engine.ranking.elicit import most_telling, stake
from engine.ranking.posterior import UserPosterior, quadratic
from engine.ranking.slate import best_rows

POOL = 4000
"""Items that may be asked about: those that most people know."""
SHOWN = 1000
"""Items that the user may be shown: those of the highest scores."""


@dataclass(frozen=True)
class Adapted:
    """One user, after adaptation."""

    support: Support
    user_x: NDArray[np.float32]
    posterior: UserPosterior


class Scorer:
    """The model laid out for serving."""

    def __init__(self, model: MetaModel) -> None:
        with torch.inference_mode():
            self._view = model.view()
        self._model = model
        self.adapter = Adapter(model, self._view)
        self.phi_ND = array(self._view.phi_ND)
        self.scale_D = array((model.log_scale + model.log_scale_D).exp())

    @property
    def n_items(self) -> int:
        return len(self.phi_ND)

    def adapt(self, support: Support, user_x: NDArray[np.float32]) -> Adapted:
        return Adapted(support, user_x, self.adapter(support, user_x))

    def scores(self, user: Adapted) -> NDArray[np.float32]:
        """Of every item, (N,)."""
        return np.asarray(self.predict([user.support], user.user_x[None])[0])

    def predict(self, supports: list[Support], user_x_BF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of every item for several users, by the model itself, (B, N)."""
        with torch.inference_mode():
            return array(self._model.predict(self._view, episodes_of(supports, user_x_BF)))

    def own(self, w_D: NDArray[np.float64]) -> NDArray[np.float32]:
        """What a vector alone gives every item, (N,): base measure and its shift left out."""
        return self.phi_ND @ (w_D * self.scale_D).astype(np.float32)

    def deviations(self, user: Adapted, rows: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        """Standard deviation of the scores of some items under the posterior.

        Raises:
            RequestError: the model adapts by descent, which gives no posterior.
        """
        self.need_posterior()
        return user.posterior.deviation(self.phi_ND[rows] * self.scale_D)

    def need_posterior(self) -> None:
        if not self.adapter.is_exact:
            raise RequestError(
                "this model does not know how sure it is: it adapts by gradient descent",
                fix='Train it with inner.method = "closed_form" for uncertainty, explore and elicit.',
            )

    @cached_property
    def prior_deviation(self) -> NDArray[np.float32]:
        """Standard deviation of every item's score before any event, (N,)."""
        metric_DD = self.adapter.prior.covariance_DD * np.outer(self.scale_D, self.scale_D)
        return np.sqrt(quadratic(self.phi_ND, metric_DD.astype(np.float32))).astype(np.float32)

    def questions(
        self, user: Adapted, open_N: NDArray[np.bool_], signal: int, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Which of the open items to ask about: rows, expected gains and chances of an answer, (K,).

        Args:
            signal: that of an expected answer.
        """
        known_N = array(self._model.items.known_N).astype(np.float64)
        pool_M = best_rows(array(self._model.items.known_N), open_N, POOL)
        scores_N = self.scores(user)
        shown_M = best_rows(scores_N, np.ones(self.n_items, np.bool_), SHOWN)
        weight_M = np.exp(scores_N[shown_M].astype(np.float64) - scores_N[shown_M[0]])
        stake_DD = stake(self.phi_ND[shown_M] * self.scale_D, weight_M / weight_M.sum())
        precision_M = np.full(len(pool_M), self.adapter.answer_precision(signal))
        covariance_DD, phi_MD = user.posterior.covariance, self.phi_ND[pool_M]
        if self._model.inner.likelihood == "bernoulli":
            p_M = 1 / (1 + np.exp(-(phi_MD @ user.posterior.mean_D)))
            precision_M = precision_M * p_M * (1 - p_M)
        rows, gains = most_telling(covariance_DD, phi_MD, precision_M, known_N[pool_M], stake_DD, k)
        return pool_M[rows], gains, known_N[pool_M[rows]]

    def likeness(self, row: int) -> NDArray[np.float32]:
        """How the scores of every item go with those of one, over all users before any event, (N,), -1..1.

        The correlation under the prior, ``phi_i A0^-1 phi_j`` over both deviations: the cosine in the prior's
        metric, so that dimensions in which people hardly differ hardly count.
        """
        metric_DD = self.adapter.prior.covariance_DD * np.outer(self.scale_D, self.scale_D)
        with_N = self.phi_ND @ (metric_DD @ self.phi_ND[row]).astype(np.float32)
        lengths_N = np.maximum(self.prior_deviation * self.prior_deviation[row], 1e-12)
        return np.asarray(with_N / lengths_N)
