"""Adapts the model to one user: what `MetaModel.adapt` gives, without the overhead of tensors.

Knows nothing of catalogues beyond the items of the events. Equal to the model's own within rounding.

Shapes: S support, D embedding, F user features, R signals, A ages, H groups of hours.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.data.episodes import Episodes, support_only
from engine.data.events import Support
from engine.learning import inner_loop as loop
from engine.learning.evidence import N_GROUPS
from engine.learning.meta import MetaModel, View, doubted
from engine.learning.objectives import Rating
from engine.learning.robust import Choices
from engine.ranking.arrays import array, group
from engine.ranking.posterior import (
    Array,
    Gaussian,
    UserPosterior,
    bernoulli_posterior,
    gaussian_mean,
    gaussian_posterior,
)

AGES = 2**N_GROUPS
"""From here on all ages are alike."""


class _Said(NamedTuple):
    """What events say, by item, signal and age."""

    phi_ND: NDArray[np.float32]
    offset_N: NDArray[np.float32]  # taken off what a rating says
    target_R: NDArray[np.float64]
    told_RA: NDArray[np.float64]  # precision before softplus
    elapsed_H: NDArray[np.float64]


class Adapter:
    """Prior + support -> posterior, for one user at a time."""

    def __init__(self, model: MetaModel, view: View) -> None:
        self._model, self._view, self._inner, self._doubt = model, view, model.inner, model.doubt
        self._phi_ND = array(view.phi_ND)
        choices = None if view.choices is None else Choices(*(part.double() for part in view.choices))
        self._doubter = view._replace(factor_DD=view.factor_DD.double(), choices=choices)
        self.prior = Gaussian.of(array(view.factor_DD))
        self._from_features_FD = array(model.prior.from_features_FD).astype(np.float64)
        base_N = array(view.base_N)
        offset_N = base_N if isinstance(model.objective, Rating) else np.zeros_like(base_N)
        evidence = model.evidence
        recency_A = array(evidence.recency_A)[[group(age) for age in range(AGES)]]
        target_R, precision_R = (
            array(x_R).astype(np.float64) for x_R in (evidence.target_R, evidence.precision_R)
        )
        elapsed_H = np.concatenate([[0.0], array(evidence.elapsed_H)])
        self._said = _Said(self._phi_ND, offset_N, target_R, precision_R[:, None] + recency_A, elapsed_H)

        self._is_plain = self._doubt is None and self.is_exact and self._inner.likelihood == "gaussian"

    @property
    def is_exact(self) -> bool:
        """Whether users have a posterior distribution; descent gives its centre alone."""
        return isinstance(self._model.inner, loop.ClosedForm)

    def answer_precision(
        self, signal: int, phi_ND: NDArray[np.float32], posterior: UserPosterior
    ) -> NDArray[np.float64]:
        """How much a fresh event of this signal would tell about each item, (N,)."""
        precision = np.logaddexp(0.0, self._said.told_RA[signal, 0])
        if self._inner.likelihood == "gaussian":
            return np.full(len(phi_ND), precision)
        p_N = 1 / (1 + np.exp(-(phi_ND @ posterior.mean_D)))
        return np.asarray(precision * p_N * (1 - p_N))

    def __call__(self, support: Support, user_x: NDArray[np.float32]) -> UserPosterior:
        """The user's posterior. By descent its centre alone: the covariance then means nothing."""
        if not isinstance(self._inner, loop.ClosedForm):
            return self._descended(support, user_x)
        events = support.item_row, support.signal, support.timestamp
        if self._is_plain:
            mean_D, phi_SD, precision_S = _gaussian(
                *events, user_x, self._from_features_FD, self._said, self.prior
            )
            return UserPosterior(mean_D, phi_SD, precision_S, self.prior)
        w0_D = user_x @ self._from_features_FD
        phi_SD, target_S, precision_S = _told(*events, self._said)
        own_S = None
        if self._doubt is not None and len(target_S):
            precision_S, own_S = self._doubted(support, w0_D, phi_SD, target_S, precision_S)
        if self._inner.likelihood == "gaussian":
            posterior = gaussian_posterior(w0_D, phi_SD, target_S, precision_S, self.prior)
        else:
            wanted_S = target_S.clip(0.0, 1.0)
            posterior = bernoulli_posterior(w0_D, phi_SD, wanted_S, precision_S, self.prior)
        return posterior if own_S is None else replace(posterior, own_S=own_S)

    @torch.inference_mode()
    def _doubted(
        self, support: Support, w0_D: Array, phi_SD: Array, target_S: Array, precision_S: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """What is left of the precisions, as the model doubts events, and whose they are, (S,)."""
        w0_BD, *events = (torch.from_numpy(part)[None] for part in (w0_D, phi_SD, target_S, precision_S))
        item_BS = torch.from_numpy(support.item_row)[None]
        assert self._doubt is not None
        left, own_BS = doubted(self._doubt, w0_BD, loop.Support(*events), item_BS, self._doubter)
        return left.precision_BS[0].numpy(), _of_one(own_BS)

    @torch.inference_mode()
    def _descended(self, support: Support, user_x: NDArray[np.float32]) -> UserPosterior:
        episodes = episodes_of([support], user_x[None])
        w0_BD = self._model.prior.mean(episodes.user_x)
        posterior = self._model.adapt(self._view, w0_BD, episodes)
        none_SD, mean_D = np.empty((0, self._phi_ND.shape[1])), posterior.w_BD[0].numpy().astype(np.float64)
        return UserPosterior(mean_D, none_SD, np.empty(0), self.prior, _of_one(posterior.own_BS))


def _of_one(own_BS: torch.Tensor | None) -> NDArray[np.float64] | None:
    """Of a batch of one user."""
    return None if own_BS is None else own_BS[0].numpy().astype(np.float64)


@compiled
def _gaussian(
    item_row: NDArray[np.int64],
    signal: NDArray[np.int64],
    timestamp: NDArray[np.float64],
    user_x: NDArray[np.float32],
    from_features_FD: NDArray[np.float64],
    said: _Said,
    prior: Gaussian,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """`gaussian_posterior` of what nobody doubts, in one call: its mean, phi and precision."""
    w0_D = np.zeros(from_features_FD.shape[1])
    for f in range(len(user_x)):
        w0_D += user_x[f] * from_features_FD[f]
    phi_SD, target_S, precision_S = _told(item_row, signal, timestamp, said)
    return gaussian_mean(w0_D, phi_SD, target_S, precision_S, prior), phi_SD, precision_S


@compiled
def _told(
    item_row: NDArray[np.int64], signal: NDArray[np.int64], timestamp: NDArray[np.float64], said: _Said
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What `Evidence` says of one user's events: phi, (S, D), target and precision, (S,)."""
    n_events, newest = len(item_row), np.nan
    for time in timestamp:
        if not newest >= time and time == time:
            newest = time
    phi_SD, target_S, precision_S = (
        np.empty((n_events, said.phi_ND.shape[1])),
        np.empty(n_events),
        np.empty(n_events),
    )
    for s in range(n_events):
        told = said.told_RA[signal[s], min(n_events - 1 - s, AGES - 1)]
        if timestamp[s] == timestamp[s]:
            hours = np.float32((newest - timestamp[s]) / 3600.0) + np.float32(1.0)
            told += said.elapsed_H[min(math.frexp(hours)[1], len(said.elapsed_H)) - 1]
        precision_S[s] = max(told, 0.0) + math.log1p(math.exp(-abs(told)))
        target_S[s] = said.target_R[signal[s]] - said.offset_N[item_row[s]]
        for d in range(phi_SD.shape[1]):
            phi_SD[s, d] = said.phi_ND[item_row[s], d]
    return phi_SD, target_S, precision_S


def episodes_of(supports: list[Support], user_x_BF: NDArray[np.float32]) -> Episodes:
    """What the model takes, for users of a request."""
    return support_only(
        [s.item_row for s in supports],
        [s.signal for s in supports],
        user_x_BF,
        [s.timestamp for s in supports],
    )
