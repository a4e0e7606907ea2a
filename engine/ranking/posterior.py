"""One user's posterior, N(w, A^-1): the inner loop without the overhead of tensors.

The readable form is `engine.learning.closed_form`; here its dual form serves a request in microseconds and
also gives the covariance. Knows nothing of signals, items' names or scores.

Shapes: S support, D embedding, N items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.learning.cholesky import factorise, substitute
from engine.learning.newton import LEAST_VARIANCE, STEPS

Array = NDArray[np.float32] | NDArray[np.float64]


class Gaussian(NamedTuple):
    """The prior of everyone, but for its mean: precision A0 and covariance A0^-1, (D, D)."""

    precision_DD: NDArray[np.float64]
    covariance_DD: NDArray[np.float64]

    @staticmethod
    def of(factor_DD: Array) -> Gaussian:
        """From the Cholesky factor of A0."""
        precision_DD = factor_DD.astype(np.float64) @ factor_DD.T.astype(np.float64)
        return Gaussian(precision_DD, _inverse(precision_DD))


@dataclass(frozen=True)
class UserPosterior:
    """``w ~ N(mean, A^-1)``, ``A = A0 + phi^T diag(c) phi``; by Laplace for yes-or-no events."""

    mean_D: NDArray[np.float64]
    support_SD: NDArray[np.float64]  # phi of the events
    precision_S: NDArray[np.float64]  # c; for yes-or-no events the curvature c p (1 - p) at the mean
    prior: Gaussian
    own_S: NDArray[np.float64] | None = None  # how sure it is that events are the user's own, if doubted

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """A^-1, by an S x S solve where there are fewer events than dimensions.

            A^-1 = A0^-1 - (r phi A0^-1)^T (r phi A0^-1 phi^T r + I)^-1 (r phi A0^-1),  r = sqrt(c)

        Source: Rasmussen & Williams 2006, eq. 2.12.
        """
        n_events, dim = self.support_SD.shape
        if n_events > dim:
            weighted_SD = self.precision_S[:, None] * self.support_SD
            return _inverse(self.prior.precision_DD + weighted_SD.T @ self.support_SD)
        weighted_SD = np.sqrt(self.precision_S)[:, None] * self.support_SD
        spread_SD = weighted_SD @ self.prior.covariance_DD
        gram_SS = spread_SD @ weighted_SD.T + np.eye(n_events)
        return np.asarray(self.prior.covariance_DD - spread_SD.T @ np.linalg.solve(gram_SS, spread_SD))

    def deviation(self, direction_ND: Array) -> NDArray[np.float64]:
        """Standard deviation of ``w . direction``, (N,)."""
        return np.sqrt(quadratic(direction_ND, self.covariance))

    def draw(self, rng: np.random.Generator, strength: float) -> NDArray[np.float64]:
        """A w from the posterior, its distance from the mean multiplied by ``strength``, (D,)."""
        factor_DD = np.linalg.cholesky(self.covariance)
        return np.asarray(self.mean_D + strength * (factor_DD @ rng.standard_normal(len(self.mean_D))))


def quadratic(x_ND: Array, a_DD: Array) -> NDArray[np.float64]:
    """``x A x^T`` of each row, (N,), 0 where rounding would make it negative."""
    return np.asarray(np.maximum(np.einsum("nd,nd->n", x_ND @ a_DD, x_ND), 0.0))


def _inverse(a_DD: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(a_DD))


def gaussian_posterior(
    w0_D: NDArray[np.float64],
    support_SD: NDArray[np.float64],
    target_S: NDArray[np.float64],
    precision_S: NDArray[np.float64],
    prior: Gaussian,
) -> UserPosterior:
    """Of events that say a number; `closed_form.posterior_dual` for one user."""
    mean_D = gaussian_mean(w0_D, support_SD, target_S, precision_S, prior)
    return UserPosterior(mean_D, support_SD, precision_S, prior)


def bernoulli_posterior(
    w0_D: NDArray[np.float64],
    support_SD: NDArray[np.float64],
    wanted_S: NDArray[np.float64],
    precision_S: NDArray[np.float64],
    prior: Gaussian,
) -> UserPosterior:
    """Of events that say yes or no; `newton.posterior_newton` for one user, and its curvature there."""
    mean_D, curvature_S = _mode(w0_D, support_SD, wanted_S, precision_S, prior)
    return UserPosterior(mean_D, support_SD, curvature_S, prior)


@compiled
def gaussian_mean(
    w0_D: NDArray[np.float64],
    support_SD: NDArray[np.float64],
    target_S: NDArray[np.float64],
    precision_S: NDArray[np.float64],
    prior: Gaussian,
) -> NDArray[np.float64]:
    return _mean(w0_D, support_SD, target_S, precision_S, prior, np.dot(support_SD, prior.covariance_DD))


@compiled
def _mode(
    w0_D: NDArray[np.float64],
    support_SD: NDArray[np.float64],
    wanted_S: NDArray[np.float64],
    precision_S: NDArray[np.float64],
    prior: Gaussian,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spread_SD, w_D = np.dot(support_SD, prior.covariance_DD), w0_D
    for _ in range(STEPS):
        score_S = np.dot(support_SD, w_D)
        p_S = 1 / (1 + np.exp(-score_S))
        variance_S = np.maximum(p_S * (1 - p_S), LEAST_VARIANCE)
        target_S = score_S + (wanted_S - p_S) / variance_S
        w_D = _mean(w0_D, support_SD, target_S, precision_S * variance_S, prior, spread_SD)
    p_S = 1 / (1 + np.exp(-np.dot(support_SD, w_D)))
    return w_D, precision_S * p_S * (1 - p_S)


@compiled
def _mean(
    w0_D: NDArray[np.float64],
    support_SD: NDArray[np.float64],
    target_S: NDArray[np.float64],
    precision_S: NDArray[np.float64],
    prior: Gaussian,
    spread_SD: NDArray[np.float64],
) -> NDArray[np.float64]:
    n_events, dim = support_SD.shape
    if n_events > dim:
        weighted_DS = support_SD.T * precision_S
        right_D = np.dot(prior.precision_DD, w0_D) + np.dot(weighted_DS, target_S)
        precision_DD = prior.precision_DD + np.dot(weighted_DS, support_SD)
        factorise(precision_DD)
        substitute(precision_DD, right_D)
        return np.asarray(right_D)
    gram_SS = np.dot(spread_SD, support_SD.T)
    for s in range(n_events):
        gram_SS[s, s] += 1 / precision_S[s]
    dual_S = target_S - np.dot(support_SD, w0_D)
    factorise(gram_SS)
    substitute(gram_SS, dual_S)
    return np.asarray(w0_D + np.dot(dual_S, spread_SD))
