"""The episodic ridge: what the first events of a user say of the later ones, linearly, over all users.

The outer loop in closed form. It shifts the base measure: not what people want in general, but what people
with such a beginning come to want. Knows nothing of posteriors or of the query loss.

Shapes: B users, S support (padded), N catalogue, D embedding, F user features, M inputs, U training users.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.data.episodes import EpisodeRules, Episodes, draw_episodes
from engine.data.histories import Histories
from engine.learning.catalogue import Catalogue
from engine.learning.evidence import N_GROUPS, log2_group
from engine.learning.exchange import summed
from engine.learning.folds import FOLDS
from engine.learning.small_catalogue import distinct, in_terms_of
from engine.learning.workers import rank, world

MET_PENALTY, WANTED_PENALTY, FEATURE_PENALTY = 2000.0, 500.0, 1500.0
DRAWS = 10  # episodes of each training user
LEAST = 0.1  # an item is called at most ten times less likely than its popularity says
ITEMS = 20_000  # the most popular items, which have a prediction of their own; others keep their popularity
SPREAD_EPISODES, AT_ONCE = 200_000, 4096  # where the catalogue is spread: in all, about; users at a time
FIRST_DRAW = 1_000_000  # "passes" that training never reaches, so that its episodes are others


class EpisodicRidge(nn.Module):
    """``gain[S] * log max(r_i(u) / pop_i, LEAST)`` with r the ridge's prediction, pop what it is on average.

    The gain is learned by number of shots. While training, a user's prediction comes from a ridge fitted
    without the user's fold.
    """

    weight_MC: Tensor
    folds_FMC: Tensor
    item_C: Tensor
    log_popularity_C: Tensor
    wanted_R: Tensor

    def __init__(
        self,
        weight_MC: Tensor,
        folds_FMC: Tensor | None,
        item_C: Tensor,
        log_popularity_C: Tensor,
        wanted_R: Tensor,
    ) -> None:
        """
        Args:
            weight_MC: of all training users.
            folds_FMC: without each fold; None where nothing will be trained.
            item_C: the items that are predicted, C of N.
            log_popularity_C: log of their share of users who want them later.
            wanted_R: 1 for signals that are wanted.
        """
        super().__init__()
        self.register_buffer("weight_MC", weight_MC)
        self.register_buffer("folds_FMC", folds_FMC, persistent=False)
        self.register_buffer("item_C", item_C)
        self.register_buffer("log_popularity_C", log_popularity_C)
        self.register_buffer("wanted_R", wanted_R)
        self.gain_logit_A = nn.Parameter(torch.zeros(N_GROUPS))

    def forward(
        self,
        spectral_ND: Tensor,
        episodes: Episodes,
        shown_N: Tensor,
        fold: int | None = None,
        row_N: Tensor | None = None,
    ) -> Tensor:
        """The shift of the base measure, (B, N); 0 for items that are not shown as warm.

        Args:
            spectral_ND: P0 of the items that the episodes speak of.
            fold: that of the users, where they are training users.
            row_N: which items are asked about, where not all are.
        """
        with torch.no_grad():
            left_out = fold is not None and self.folds_FMC is not None
            weight_MC = self.folds_FMC[fold] if left_out else self.weight_MC
            item_C, log_popularity_C = self.item_C, self.log_popularity_C
            if row_N is not None:
                kept_C, item_C = _among(row_N, item_C)
                weight_MC, log_popularity_C = weight_MC[:, kept_C], log_popularity_C[kept_C]
            z_BM = inputs(spectral_ND, self.wanted_R, episodes)
            ratio_BC = (z_BM @ weight_MC) / log_popularity_C.exp()
            shift_BC = ratio_BC.clamp(min=LEAST).log() * shown_N[item_C]
        gain_B1 = self.gain_logit_A[log2_group(episodes.shots)].sigmoid().unsqueeze(-1)
        if len(item_C) == len(shown_N):
            return gain_B1 * shift_BC
        none_BN = shift_BC.new_zeros(len(shift_BC), len(shown_N))
        return none_BN.index_copy(1, item_C, gain_B1 * shift_BC)


def _among(row_M: Tensor, item_C: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the (ascending) items are among the rows, and the places of the rows that are among them."""
    at_M = torch.searchsorted(item_C, row_M).clamp(max=len(item_C) - 1)
    known_M = item_C[at_M] == row_M
    return at_M[known_M], known_M.nonzero().squeeze(1)


def inputs(spectral_ND: Tensor, wanted_R: Tensor, episodes: Episodes) -> Tensor:
    """``[sum P0 of what was met, of what was wanted, how many of each, user features, 1]``, (B, 2D+2+F+1)."""
    place_BSD = spectral_ND[episodes.support_item]
    met_BS = episodes.present.to(place_BSD.dtype)
    wanted_BS = met_BS * wanted_R[episodes.support_signal]
    both_B2S = torch.stack([met_BS, wanted_BS], dim=1)
    sums_BM = torch.bmm(both_B2S, place_BSD).flatten(1)
    one_B1 = torch.ones_like(met_BS[:, :1])
    return torch.cat([sums_BM, both_B2S.sum(dim=2), episodes.user_x, one_B1], dim=1)


def fit_episodic_ridge(
    spectral: Tensor | Catalogue,
    relevant_R: NDArray[np.bool_],
    histories: Histories,
    user_x: NDArray[np.float32],
    rules: EpisodeRules,
    popularity_N: NDArray[np.float64],
    seed: int,
) -> EpisodicRidge:
    """Ridge regression from the inputs of drawn episodes to whether each item is wanted later.

    Args:
        spectral: P0, (N, D), or a catalogue whose workers share the users and have few draws of many.
        relevant_R: signals that are wanted.
        histories, user_x: the training users, (U), (U, F).
        popularity_N: expected number of wanted events after the support.
    """
    item_C = np.sort(np.argsort(-popularity_N, kind="stable")[:ITEMS])
    wanted_R = torch.from_numpy(relevant_R.astype(np.float32))
    column_N = np.full(len(popularity_N), -1)
    column_N[item_C] = np.arange(len(item_C))
    spread = isinstance(spectral, Catalogue)
    dim = spectral.spectral_LD.shape[1] if isinstance(spectral, Catalogue) else spectral.shape[1]
    size = 2 * dim + 2 + user_x.shape[1] + 1
    gram_FMM = np.zeros((FOLDS, size, size))
    right_FMC = np.zeros((FOLDS, size, len(item_C)), np.float32)
    for draw, fold, users in _turns(histories.n_users, spread):
        episodes = draw_episodes(histories, users, user_x, rules, (seed, FIRST_DRAW + draw))
        z_BM = inputs(*_looked_up(spectral, episodes, wanted_R)).double().numpy()
        gram_FMM[fold] += z_BM.T @ z_BM
        right_FMC[fold] += (_wanted(episodes, column_N, len(item_C)).T @ z_BM).T
    if spread:
        summed(torch.from_numpy(gram_FMM))
        summed(torch.from_numpy(right_FMC))
    penalty_M = _penalties(dim, user_x.shape[1])
    gram_MM, right_MC = gram_FMM.sum(axis=0) + np.diag(penalty_M), right_FMC.sum(axis=0)
    without = [
        np.linalg.solve(gram_MM - gram_FMM[f], right_MC - right_FMC[f]).astype(np.float32)
        for f in range(FOLDS)
    ]
    share_C = (popularity_N[item_C] + 0.5) / histories.n_users
    return EpisodicRidge(
        torch.from_numpy(np.linalg.solve(gram_MM, right_MC).astype(np.float32)),
        torch.from_numpy(np.stack(without)),
        torch.from_numpy(item_C),
        torch.from_numpy(np.log(share_C).astype(np.float32)),
        wanted_R,
    )


def _turns(n_users: int, spread: bool) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """(draw, fold, users) one after the other; where they are ``spread``, this worker's share of them."""
    draws = max(1, min(DRAWS, SPREAD_EPISODES // n_users)) if spread else DRAWS
    for draw, fold in product(range(draws), range(FOLDS)):
        users = np.arange(fold, n_users, FOLDS)
        if not spread:
            yield draw, fold, users
            continue
        for first in range(0, len(users), AT_ONCE):
            yield draw, fold, users[first : first + AT_ONCE][rank() :: world()]


def _looked_up(
    spectral: Tensor | Catalogue, episodes: Episodes, wanted_R: Tensor
) -> tuple[Tensor, Tensor, Episodes]:
    """The arguments of `inputs`, with the rows of P0 that the episodes speak of."""
    if isinstance(spectral, Tensor):
        return spectral, wanted_R, episodes
    first = torch.zeros(1, dtype=torch.int64)  # so that there is one
    row_M = distinct(torch.cat([first, episodes.support_item[episodes.present]]))
    return spectral.places(row_M), wanted_R, in_terms_of(row_M, episodes)


def _wanted(episodes: Episodes, column_N: NDArray[np.int64], n_columns: int) -> sp.csr_matrix:
    """1 where a user wants an item later, (B, C)."""
    user, column = episodes.query_user.numpy(), column_N[episodes.query_item.numpy()]
    known = column >= 0
    ones = np.ones(int(known.sum()))
    return sp.csr_matrix((ones, (user[known], column[known])), shape=(len(episodes), n_columns))


def _penalties(dim: int, n_features: int) -> NDArray[np.float64]:
    """One an input; that of the intercept is next to nothing."""
    parts = [(MET_PENALTY, dim), (WANTED_PENALTY, dim + 2), (FEATURE_PENALTY, n_features), (1e-3, 1)]
    return np.concatenate([np.full(length, penalty) for penalty, length in parts])
