"""How good an order or a prediction is: one number a user.

Knows nothing of models, shots or how users were held out. All functions are pure. A NaN score means
"cannot be scored": such an item is never recommended and stands below every scored one. Equal scores stand in
no order: a metric is its mean over all of theirs.

Shapes: B users, N catalogue, K slate, X query events of all users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.evaluation.protocol import Outcomes
from engine.evaluation.ties import Places, places
from engine.ranking.top_k import Scores

PerUser = NDArray[np.float64]


def candidate_scores(scores_BN: Scores, episodes: Episodes) -> Scores:
    """A copy in which what the episodes bar is NaN."""
    scores = scores_BN.copy()
    scores[episodes.barred_user.numpy(), episodes.barred_item.numpy()] = np.nan
    scores[:, episodes.barred_for_all.numpy()] = np.nan
    return scores


def wanted_items(episodes: Episodes, n_items: int) -> NDArray[np.bool_]:
    """Which items each user's query holds, (B, N)."""
    wanted = np.zeros((len(episodes), n_items), dtype=bool)
    wanted[episodes.query_user.numpy(), episodes.query_item.numpy()] = True
    return wanted


def ndcg_at(scores_BN: Scores, episodes: Episodes, k: int = 10) -> PerUser:
    """Normalised discounted cumulative gain of the first k, (B,), range (0, 1); NaN without a query.

    ``sum_r hit_r / log2(r + 1)`` over ranks 1..k, divided by what the best order would reach
    (Järvelin and Kekäläinen 2002, with gains of 0 and 1).
    """
    found, n_wanted = _places(scores_BN, episodes, k)
    discount = 1 / np.log2(np.arange(k) + 2)
    ideal = np.concatenate([[np.nan], np.cumsum(discount)])[np.minimum(n_wanted, k)]
    return np.asarray(found.hits @ discount / ideal)


def recall_at(scores_BN: Scores, episodes: Episodes, k: int = 10) -> PerUser:
    """Share of the wanted items among the first k, of the most that fit: hits / min(k, wanted), (B,)."""
    found, n_wanted = _places(scores_BN, episodes, k)
    return np.asarray(found.hits.sum(axis=1) / _nan_if_zero(np.minimum(n_wanted, k)))


def hit_rate_at(scores_BN: Scores, episodes: Episodes, k: int = 10) -> PerUser:
    """1 where any of the first k is wanted, else 0, (B,); NaN without a query."""
    found, n_wanted = _places(scores_BN, episodes, k)
    return np.where(n_wanted > 0, found.any_hit, np.nan)


def auc_among_query(scores_BN: Scores, outcomes: Outcomes) -> PerUser:
    """Chance that a wanted query item scores above an unwanted query item of the same user, (B,).

    Only items the user did meet are compared, so it measures taste and not what people get to see.
    Ties count one half; NaN for users whose query items are all wanted or all unwanted.
    """
    score = scores_BN[outcomes.user, outcomes.item]
    return _auc(outcomes.user, score, outcomes.wanted, len(scores_BN))


def auc_over_catalogue(scores_BN: Scores, episodes: Episodes) -> PerUser:
    """Chance that a wanted item scores above any other candidate of the catalogue, (B,)."""
    candidate = np.ones(scores_BN.shape, dtype=bool)
    candidate[episodes.barred_user.numpy(), episodes.barred_item.numpy()] = False
    candidate[:, episodes.barred_for_all.numpy()] = False
    wanted = wanted_items(episodes, scores_BN.shape[1])
    return _auc(np.nonzero(candidate)[0], scores_BN[candidate], wanted[candidate], len(scores_BN))


def rmse(scores_BN: Scores, outcomes: Outcomes, signal_value: NDArray[np.float64]) -> PerUser:
    """Root of each user's mean squared error over the query events that carry a number, (B,).

    Predictions are first clipped to the scale of the numbers, as they are where they are shown.
    """
    return np.sqrt(_mean_by_user(outcomes, _errors(scores_BN, outcomes, signal_value) ** 2, len(scores_BN)))


def mae(scores_BN: Scores, outcomes: Outcomes, signal_value: NDArray[np.float64]) -> PerUser:
    """Each user's mean absolute error over the query events that carry a number, (B,)."""
    return _mean_by_user(outcomes, np.abs(_errors(scores_BN, outcomes, signal_value)), len(scores_BN))


def log_loss(probability_BN: Scores, episodes: Episodes) -> PerUser:
    """Minus the mean log-probability of what happened to each candidate: wanted or not, (B,)."""
    p_BN = np.clip(candidate_scores(probability_BN, episodes).astype(np.float64), 1e-7, 1 - 1e-7)
    wanted_BN = wanted_items(episodes, p_BN.shape[1])
    return np.asarray(-np.nanmean(np.log(np.where(wanted_BN, p_BN, 1 - p_BN)), axis=1))


@dataclass(frozen=True)
class Calibration:
    """Predicted and observed frequency by bins of equal width over (0, 1)."""

    predicted: PerUser  # (bins,) mean probability, NaN in an empty bin
    observed: PerUser  # (bins,) share that came true
    count: NDArray[np.int64]  # (bins,)
    error: float  # expected calibration error: sum of count * |predicted - observed| / X


def calibration(probability: Scores, happened: NDArray[np.bool_], bins: int = 10) -> Calibration:
    """Compare probabilities with what happened, pooled over users (Naeini et al. 2015).

    Args:
        probability: (X,), range (0, 1); NaN are left out.
        happened: (X,).
        bins: number of bins of equal width.
    """
    known = ~np.isnan(probability)
    p, y = np.asarray(probability[known], np.float64), happened[known]
    place = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    size = _nan_if_zero(count)
    predicted = np.bincount(place, p, bins) / size
    observed = np.bincount(place, y, bins) / size
    error = float(np.nansum(count * np.abs(predicted - observed)) / max(len(p), 1))
    return Calibration(predicted, observed, count, error if len(p) else float("nan"))


def calibration_of_values(predicted: Scores, given: NDArray[np.float64], bins: int = 10) -> Calibration:
    """The same for predicted numbers, in bins of as many predictions each.

    Args:
        predicted: (X,).
        given: (X,), NaN where there was no number.
        bins: at most so many.
    """
    known = ~np.isnan(given) & ~np.isnan(predicted)
    p, y = np.asarray(predicted[known], np.float64), given[known]
    cuts = np.unique(np.quantile(p, np.arange(1, bins) / bins)) if len(p) else np.empty(0)
    place = np.searchsorted(cuts, p)
    count = np.bincount(place, minlength=len(cuts) + 1)
    size = _nan_if_zero(count)
    means = [np.bincount(place, values, len(count)) / size for values in (p, y)]
    error = float(np.nansum(count * np.abs(means[0] - means[1])) / max(len(p), 1))
    return Calibration(means[0], means[1], count, error if len(p) else float("nan"))


@dataclass(frozen=True)
class Estimate:
    """A mean over users with its standard error (NaN for fewer than two users)."""

    mean: float
    se: float
    n: int


def estimate(per_user: PerUser) -> Estimate:
    """Mean and standard error, s / sqrt(n), of the users that have a value (NaN: no value)."""
    known = per_user[~np.isnan(per_user)]
    n = len(known)
    mean = float(known.mean()) if n else float("nan")
    return Estimate(mean, float(known.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan"), n)


def paired_difference(per_user: PerUser, reference: PerUser) -> Estimate:
    """Mean of the users' own differences to ``reference``, with its standard error.

    Users differ far more than methods do; pairing removes the users' spread, so a difference can be
    sure where the two error bars overlap.
    """
    return estimate(per_user - reference)


def _places(scores_BN: Scores, episodes: Episodes, k: int) -> tuple[Places, NDArray[np.int64]]:
    wanted = wanted_items(episodes, scores_BN.shape[1])
    return places(candidate_scores(scores_BN, episodes), wanted, k), wanted.sum(axis=1)


def _auc(user: NDArray[np.int64], score: Scores, wanted: NDArray[np.bool_], n_users: int) -> PerUser:
    """Mann-Whitney: (sum of the wanted ones' ranks - n1 (n1 + 1) / 2) / (n1 n0), by user."""
    rank = _ranks(user, np.where(np.isnan(score), -np.inf, score))
    n1 = np.bincount(user[wanted], minlength=n_users)
    n0 = np.bincount(user[~wanted], minlength=n_users)
    rank_sum = np.bincount(user[wanted], rank[wanted], n_users)
    return np.asarray((rank_sum - n1 * (n1 + 1) / 2) / _nan_if_zero(n1 * n0))


def _ranks(user: NDArray[np.int64], score: Scores) -> NDArray[np.float64]:
    """Rank from 1 of each score among its user's, equal scores sharing their mean rank."""
    order = np.lexsort((score, user))
    u, s = user[order], score[order]
    new_user = np.diff(u, prepend=-1) != 0
    starts = np.flatnonzero(new_user | (s != np.roll(s, 1)))
    length = np.diff(starts, append=len(s))
    first = np.maximum.accumulate(np.where(new_user, np.arange(len(s)), 0))[starts]
    rank = np.empty(len(s))
    rank[order] = np.repeat(starts - first + (length + 1) / 2, length)
    return rank


def _errors(scores_BN: Scores, outcomes: Outcomes, signal_value: NDArray[np.float64]) -> PerUser:
    low, high = np.nanmin(signal_value), np.nanmax(signal_value)
    predicted = np.clip(np.asarray(scores_BN[outcomes.user, outcomes.item], np.float64), low, high)
    return np.asarray(predicted - signal_value[outcomes.signal], np.float64)


def _mean_by_user(outcomes: Outcomes, values: PerUser, n_users: int) -> PerUser:
    known = ~np.isnan(values)
    count = np.bincount(outcomes.user[known], minlength=n_users)
    return np.asarray(np.bincount(outcomes.user[known], values[known], n_users) / _nan_if_zero(count))


def _nan_if_zero(count: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(count == 0, np.nan, count)
