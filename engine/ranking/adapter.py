"""Adapts the model to one user: what `MetaModel.adapt` gives, without the overhead of tensors.

Knows nothing of catalogues beyond the items of the events. Equal to the model's own within rounding.

Shapes: S support, D embedding, F user features, R signals, A ages, H groups of hours.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.episodes import Episodes, support_only
from engine.data.events import Support
from engine.learning import inner_loop as loop
from engine.learning.evidence import N_GROUPS
from engine.learning.meta import MetaModel, View, doubted, relative_popularity
from engine.learning.objectives import Rating
from engine.ranking.arrays import array, group
from engine.ranking.compiled import compiled
from engine.ranking.posterior import Array, Gaussian, UserPosterior, bernoulli_posterior, gaussian_posterior

AGES = 2**N_GROUPS
"""From here on all ages are alike."""


class Adapter:
    """Prior + support -> posterior, for one user at a time."""

    def __init__(self, model: MetaModel, view: View) -> None:
        self._model, self._view, self._inner, self._doubt = model, view, model.inner, model.doubt
        self._is_rating = isinstance(model.objective, Rating)
        self._phi_ND = array(view.phi_ND)
        self._base_N = array(view.base_N)
        self._popularity_N = relative_popularity(view.base_N)
        self.prior = Gaussian.of(array(view.factor_DD))
        self._from_features_FD = array(model.prior.from_features_FD).astype(np.float64)
        evidence = model.evidence
        self._target_R = array(evidence.target_R).astype(np.float64)
        self._precision_R = array(evidence.precision_R).astype(np.float64)
        recency = array(evidence.recency_A)[[group(age) for age in range(AGES)]]
        self._told_RA = self._precision_R[:, None] + recency
        self._elapsed_H = np.concatenate([[0.0], array(evidence.elapsed_H)])

    @property
    def is_exact(self) -> bool:
        """Whether users have a posterior distribution; descent gives its centre alone."""
        return isinstance(self._model.inner, loop.ClosedForm)

    def answer_precision(
        self, signal: int, phi_ND: NDArray[np.float32], posterior: UserPosterior
    ) -> NDArray[np.float64]:
        """How much a fresh event of this signal would tell about each item, (N,)."""
        precision = np.logaddexp(0.0, self._told_RA[signal, 0])
        if self._inner.likelihood == "gaussian":
            return np.full(len(phi_ND), precision)
        p_N = 1 / (1 + np.exp(-(phi_ND @ posterior.mean_D)))
        return np.asarray(precision * p_N * (1 - p_N))

    def __call__(self, support: Support, user_x: NDArray[np.float32]) -> UserPosterior:
        """The user's posterior. By descent its centre alone: the covariance then means nothing."""
        w0_D = user_x @ self._from_features_FD
        phi_SD = self._phi_ND[support.item_row].astype(np.float64)
        if not isinstance(self._inner, loop.ClosedForm):
            return UserPosterior(self._descended(support, user_x), phi_SD[:0], np.empty(0), self.prior)
        target_S, precision_S = self._evidence(support)
        if self._doubt is not None and len(target_S):
            precision_S = self._doubted(support, w0_D, phi_SD, target_S, precision_S)
        if self._inner.likelihood == "gaussian":
            return gaussian_posterior(w0_D, phi_SD, target_S, precision_S, self.prior)
        return bernoulli_posterior(w0_D, phi_SD, target_S.clip(0.0, 1.0), precision_S, self.prior)

    def _evidence(self, support: Support) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What `Evidence` says of one user's events: target and precision, (S,)."""
        target_S = self._target_R[support.signal]
        if self._is_rating:
            target_S = target_S - self._base_N[support.item_row]
        return target_S, _precision(support.signal, support.timestamp, self._told_RA, self._elapsed_H)

    @torch.inference_mode()
    def _doubted(
        self, support: Support, w0_D: Array, phi_SD: Array, target_S: Array, precision_S: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What is left of the precisions, as the model doubts events, (S,)."""
        w0_BD, *events = (torch.from_numpy(part)[None] for part in (w0_D, phi_SD, target_S, precision_S))
        popularity_BS = self._popularity_N[torch.from_numpy(support.item_row)][None]
        assert self._doubt is not None
        factor_DD = self._view.factor_DD.double()
        left = doubted(self._doubt, w0_BD, loop.Support(*events), popularity_BS, factor_DD)
        return np.asarray(left.precision_BS[0].numpy())

    @torch.inference_mode()
    def _descended(self, support: Support, user_x: NDArray[np.float32]) -> NDArray[np.float64]:
        episodes = episodes_of([support], user_x[None])
        w0_BD = self._model.prior.mean(episodes.user_x)
        posterior = self._model.adapt(self._view, w0_BD, episodes)
        return np.asarray(posterior.w_BD[0].numpy(), np.float64)


@compiled
def _precision(
    signal: NDArray[np.int64],
    timestamp: NDArray[np.float64],
    told_RA: NDArray[np.float64],
    elapsed_H: NDArray[np.float64],
) -> NDArray[np.float64]:
    newest = np.nan
    for time in timestamp:
        if not newest >= time:
            newest = time if time == time else newest
    precision_S = np.empty(len(signal))
    for s in range(len(signal)):
        told = told_RA[signal[s], min(len(signal) - 1 - s, told_RA.shape[1] - 1)]
        if timestamp[s] == timestamp[s]:
            hours = np.float32((newest - timestamp[s]) / 3600.0) + np.float32(1.0)
            told += elapsed_H[min(math.frexp(hours)[1], len(elapsed_H)) - 1]
        precision_S[s] = max(told, 0.0) + math.log1p(math.exp(-abs(told)))
    return precision_S


def episodes_of(supports: list[Support], user_x_BF: NDArray[np.float32]) -> Episodes:
    """What the model takes, for users of a request."""
    return support_only(
        [s.item_row for s in supports],
        [s.signal for s in supports],
        user_x_BF,
        [s.timestamp for s in supports],
    )
