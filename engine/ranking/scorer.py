"""Scores one user's catalogue; finds the best of it at less than the cost of reading it once.

Equal to `MetaModel.predict` within rounding; what does not depend on the user is computed before. Knows
nothing of item ids, items' features or requests.

Shapes: N catalogue, D embedding, B users, F user features, K slate.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.events import Support
from engine.errors import RequestError
from engine.learning.descent import Descent
from engine.learning.meta import MetaModel
from engine.ranking.adapter import Adapter, episodes_of
from engine.ranking.approximate import ApproximateSearch
from engine.ranking.arrays import array, group
from engine.ranking.base_shift import NO_SHIFT, BaseShift, UserShift
from engine.ranking.explore import Explore
from engine.ranking.layout import laid_out
from engine.ranking.posterior import UserPosterior, quadratic
from engine.ranking.search import Aim, best, best_unlocked, scores_of
from engine.ranking.slate import best_rows
from engine.ranking.together import best_together
from engine.stopwatch import lap

FEW = 8
"""Where at most one in so many items is a candidate, only those are scored."""
SHOTS, SHOWN = 20, 20
"""Events of a user with whom searches are measured, and items that are found."""
_NONE, _ALL = np.empty(0, np.int64), np.empty(0, np.bool_)


class Adapted(NamedTuple):
    """One user, after adaptation."""

    support: Support
    user_x: NDArray[np.float32]
    posterior: UserPosterior
    shift: UserShift  # of the base measure

    @property
    def shots(self) -> int:
        return len(self.support.item_row)


class Scorer:
    """The model laid out for serving."""

    def __init__(self, model: MetaModel) -> None:
        with torch.inference_mode():
            self._view = model.view()
        self._model, items = model, model.items
        self._n_features = len(model.prior.x_mean_F)
        self.adapter = Adapter(model, self._view)
        self.phi_ND, self._base_N = array(self._view.phi_ND), array(self._view.base_N)
        self.known_N = array(items.known_N)
        self.scale_D = array((model.log_scale + model.log_scale_D).exp())
        self._base_weight_A: list[float] = array(model.log_base_weight_A.exp()).tolist()
        self._shift = None
        if model.ridge is not None:
            warm_N, x_mean_F = items.warm_N.numpy(), array(model.prior.x_mean_F)
            self._shift = BaseShift(model.ridge, array(items.spectral_ND), warm_N, x_mean_F)
        self._is_linear = not (isinstance(model.inner, Descent) and model.inner.hidden)
        self._scale_DD = np.outer(self.scale_D, self.scale_D).astype(np.float64)
        self._metric_DD = self.adapter.prior.covariance_DD * self._scale_DD  # covariance of u under the prior
        self._tables = laid_out(self.phi_ND, self.scale_D, self._base_N, self._metric_DD, self._shift)
        self._warm_up()
        self.approximate: ApproximateSearch | None = None

    def _warm_up(self) -> None:
        """Compile what requests need, or load it, before the first one."""
        one, x_F = np.zeros(1, np.int64), np.zeros(self._n_features, np.float32)
        support = Support(one, one, np.full(1, np.nan), ())
        user = self.adapt(support, x_F)
        self.predict([support], x_F[None])
        if self._is_linear:
            rows, _, _ = best(self._tables, self._aim(user), 1, _ALL, one, 1)
            scores_of(self._tables, self._aim(user), rows)
            for n_users in (1, 2):
                best_together(self._tables, [self._aim(user)] * n_users, [1] * n_users, [one] * n_users)

    def typical(self, signal: int, n_users: int) -> list[Adapted]:
        """Users to measure with: average ones, who met ``SHOTS`` items, drawn by how many people met them.

        Args:
            signal: of their events.
        """
        known_N = self.known_N.astype(np.float64)
        share_N = known_N / known_N.sum() if known_N.any() else None
        met_US = np.random.default_rng(0).choice(self.n_items, (n_users, SHOTS), p=share_N)
        signal_S, when_S = np.full(SHOTS, signal), np.full(SHOTS, np.nan)
        x_F = array(self._model.prior.x_mean_F)
        return [self.adapt(Support(row_S, signal_S, when_S, ()), x_F) for row_S in met_US]

    def search_approximately(self, users: Sequence[Adapted]) -> None:
        """Search by `ApproximateSearch`, its recall measured with these users, from now on where all items
        are candidates. A model that knows no bounds scores all items as before.

        Raises:
            ConfigError: faiss is not installed.
        """
        if self._is_linear:
            self.approximate = ApproximateSearch(self._tables, [self._aim(user) for user in users])

    def search_ms(self, users: Sequence[Adapted]) -> float:
        """What finding the best takes for these users: the median of the faster of three times each."""
        taken_s = np.empty((3, len(users)))
        for turn, (i, user) in product(range(3), enumerate(users)):
            started = time.perf_counter()
            self.best(user, SHOWN)
            taken_s[turn, i] = time.perf_counter() - started
        return float(1000 * np.median(taken_s.min(axis=0)))

    @property
    def n_items(self) -> int:
        return len(self.phi_ND)

    def adapt(self, support: Support, user_x: NDArray[np.float32]) -> Adapted:
        posterior = self.adapter(support, user_x)
        shift = NO_SHIFT if self._shift is None else self._shift.of(support, user_x, posterior.own_S)
        return Adapted(support, user_x, posterior, shift)

    def predict(self, supports: list[Support], user_x_BF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of every item for several users, by the model itself, (B, N)."""
        with torch.inference_mode():
            return array(self._model.predict(self._view, episodes_of(supports, user_x_BF)))

    def scores(self, user: Adapted) -> NDArray[np.float32]:
        """Of every item, (N,)."""
        if not self._is_linear:
            return np.array(self.predict([user.support], user.user_x[None])[0])
        scores_N = self.phi_ND @ (user.posterior.mean_D * self.scale_D).astype(np.float32)
        scores_N += np.float32(self._base_weight(user)) * self._base_N
        if self._shift is not None:
            scores_N[self._shift.item_C] += self._shift.all(user.shift)
        return np.asarray(scores_N)

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
        barred = _NONE if barred is None else barred
        with lap("score"):
            if not self._is_linear:
                return self._best_of_all(user, k, allowed_N, barred)
            aim, k = self._aim(user, how), min(k, self.n_items)
            rows = _few(allowed_N, barred)
            if rows is not None:
                scores = scores_of(self._tables, aim, rows)
                order_K = np.lexsort((rows, -scores))[:k]
                rows_K, scores_K = rows[order_K], scores[order_K]
            elif self.approximate and allowed_N is None and not aim.bonus:
                rows_K, scores_K = self.approximate(aim, k, barred)
            else:
                allowed_N, most = _ALL if allowed_N is None else allowed_N, len(self._tables.row_GB)
                search = best if how is None else best_unlocked  # exploring may lead far
                rows_K, scores_K, _ = search(self._tables, aim, k, allowed_N, barred, most)
            if how is not None:
                scores_K = scores_of(self._tables, self._aim(user), rows_K)
            return rows_K, scores_K

    @property
    def searches_together(self) -> bool:
        """Whether `best_together` reads for all users at once: in closed form, without an index."""
        return self.adapter.is_exact and self._is_linear and self.approximate is None

    def best_together(
        self, users: Sequence[Adapted], ks: Sequence[int], barred: Sequence[NDArray[np.int64]]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """`best` of all items for several users, each with a k and items that are left out."""
        if not self.searches_together or not users:
            return [self.best(u, k, barred=rows) for u, k, rows in zip(users, ks, barred, strict=True)]
        with lap("score"):
            most = [min(k, self.n_items) for k in ks]
            return best_together(self._tables, [self._aim(user) for user in users], most, barred)

    def _best_of_all(
        self, user: Adapted, k: int, allowed_N: NDArray[np.bool_] | None, barred: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """By the scores of every item, for models that know no bounds."""
        scores_N = self.scores(user)
        open_N = np.ones(self.n_items, np.bool_) if allowed_N is None else allowed_N.copy()
        open_N[barred] = False
        rows_K = best_rows(scores_N, open_N, k)
        return rows_K, scores_N[rows_K]

    def _aim(self, user: Adapted, how: Explore | None = None) -> Aim:
        """What the items are ordered by."""
        w_D, bonus, covariance_DD = user.posterior.mean_D, 0.0, self._metric_DD
        if how is not None and how.method == "thompson":
            w_D = user.posterior.draw(np.random.default_rng(how.seed), how.strength)
        elif how is not None:
            bonus, covariance_DD = how.strength, user.posterior.covariance * self._scale_DD
        return Aim(w_D, self._base_weight(user), *user.shift, float(bonus), covariance_DD)

    def _base_weight(self, user: Adapted) -> float:
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


def _few(allowed_N: NDArray[np.bool_] | None, barred: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The rows to score where they are few; None where the whole catalogue is searched sooner."""
    if allowed_N is None:
        return None
    rows = np.flatnonzero(allowed_N)
    return np.setdiff1d(rows, barred) if len(rows) * FEW <= len(allowed_N) else None
