"""The episodic ridge: what the first events of a user say of the later ones, linearly, over all users.

The outer loop in closed form. It shifts the base measure: not what people want in general, but what people
with such a beginning come to want. Knows nothing of posteriors or of the query loss.

Shapes: B users, S support (padded), N catalogue, D embedding, F user features, M inputs, U training users.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from engine.data.episodes import EpisodeRules, Episodes, draw_episodes
from engine.data.histories import Histories
from engine.learning.closed_form import TINY
from engine.learning.evidence import N_GROUPS, log2_group
from engine.learning.folds import FOLDS
from engine.learning.ridge_regression import Folds, cross_validated

WANTED_PENALTY = 0.25
"""Of an event that was wanted, to that of one that was met."""
INTERCEPT_PENALTY = 1e-6
"""To that of a user's feature."""
HALF_AT = 3.0
"""So many events count half each."""
DRAWS = 10  # episodes of each training user
LEAST = 0.1  # an item is called at most ten times less likely than its popularity says
ITEMS = 20_000  # the most popular items, which have a prediction of their own; others keep their popularity
FIRST_DRAW = 1_000_000  # "passes" that training never reaches, so that its episodes are others


class EpisodicRidge(nn.Module):
    """``gain[S] * log max(r_i(u) / pop_i, LEAST)`` with r the ridge's prediction, pop what it is on average.

    The gain is learned by number of shots. While training, a user's prediction comes from a ridge fitted
    without the user's fold, but for its penalties.
    """

    weight_MC: Tensor
    folds_FMC: Tensor
    item_C: Tensor
    log_popularity_C: Tensor
    wanted_R: Tensor
    half_at: Tensor

    def __init__(
        self,
        weight_MC: Tensor,
        folds_FMC: Tensor | None,
        item_C: Tensor,
        log_popularity_C: Tensor,
        wanted_R: Tensor,
        half_at: float = HALF_AT,
    ) -> None:
        """
        Args:
            weight_MC: of all training users.
            folds_FMC: without each fold; None where nothing will be trained.
            item_C: the items that are predicted, C of N.
            log_popularity_C: log of their share of users who want them later.
            wanted_R: 1 for signals that are wanted.
            half_at: as for `inputs`.
        """
        super().__init__()
        self.register_buffer("weight_MC", weight_MC)
        self.register_buffer("folds_FMC", folds_FMC, persistent=False)
        self.register_buffer("item_C", item_C)
        self.register_buffer("log_popularity_C", log_popularity_C)
        self.register_buffer("wanted_R", wanted_R)
        self.register_buffer("half_at", torch.tensor(half_at))
        self.gain_logit_A = nn.Parameter(torch.zeros(N_GROUPS))

    def forward(
        self,
        spectral_ND: Tensor,
        episodes: Episodes,
        shown_N: Tensor,
        fold: int | None = None,
        row_N: Tensor | None = None,
        own_BS: Tensor | None = None,
    ) -> Tensor:
        """The shift of the base measure, (B, N); 0 for items that are not shown as warm.

        Args:
            spectral_ND: P0 of the items that the episodes speak of.
            fold: that of the users, where they are training users.
            row_N: which items are asked about, where not all are.
            own_BS: as for `inputs`.
        """
        with torch.no_grad():
            left_out = fold is not None and self.folds_FMC is not None
            weight_MC = self.folds_FMC[fold] if left_out else self.weight_MC
            item_C, log_popularity_C = self.item_C, self.log_popularity_C
            if row_N is not None:
                kept_C, item_C = _among(row_N, item_C)
                weight_MC, log_popularity_C = weight_MC[:, kept_C], log_popularity_C[kept_C]
            z_BM = inputs(spectral_ND, self.wanted_R, episodes, self.half_at, own_BS)
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


def inputs(
    spectral_ND: Tensor,
    wanted_R: Tensor,
    episodes: Episodes,
    half_at: Tensor | float = HALF_AT,
    own_BS: Tensor | None = None,
) -> Tensor:
    """``[sum P0 of what was met, of what was wanted, how many of each, user features, 1]``, (B, 2D+2+F+1).

    Sums over events, and their numbers, are divided by ``1 + shots / half_at``: from sums to means.

    Args:
        own_BS: how much each event counts beside the user's others, > 0; None: all alike.
    """
    shots_B, weight_BS = episodes.shots, episodes.present.to(wanted_R.dtype)
    if own_BS is not None:
        own_BS = own_BS * weight_BS
        own_BS = own_BS / own_BS.amax(dim=1, keepdim=True).clamp(min=TINY) if own_BS.shape[1] else own_BS
        weight_BS = own_BS * (shots_B / own_BS.sum(dim=1).clamp(min=1)).unsqueeze(1)
    wanted_BS = wanted_R[episodes.support_signal] * weight_BS
    item_E, first_B = episodes.support_item[episodes.present], shots_B.cumsum(0) - shots_B
    sums = partial(embedding_bag, item_E, spectral_ND, first_B, mode="sum")
    met_BD, wanted_BD = (
        sums(per_sample_weights=part_BS[episodes.present]) for part_BS in (weight_BS, wanted_BS)
    )
    numbers_B2 = torch.stack([shots_B, wanted_BS.sum(dim=1)], dim=1)
    events_BE = torch.cat([met_BD, wanted_BD, numbers_B2], dim=1) / (1 + shots_B / half_at).unsqueeze(1)
    return torch.cat([events_BE, episodes.user_x, torch.ones_like(events_BE[:, :1])], dim=1)


class RidgeSums:
    """What the ridge regression needs of drawn episodes: sums by fold of users.

    Args:
        popularity_N: expected number of wanted events after the support.
    """

    def __init__(self, relevant_R: NDArray[np.bool_], popularity_N: NDArray[np.float64], size: int) -> None:
        self.wanted_R = torch.from_numpy(relevant_R.astype(np.float32))
        self._item_C = np.sort(np.argsort(-popularity_N, kind="stable")[:ITEMS])
        self._popularity_C = popularity_N[self._item_C]
        self.gram_FMM = np.zeros((FOLDS, size, size))
        self.right_FCM = np.zeros((FOLDS, len(self._item_C), size), np.float32)

    def add(self, episodes: Episodes, fold_B: NDArray[np.int64], z_BM: Tensor) -> None:
        """Count the episodes of some users, given their `inputs`."""
        wanted_BC = _wanted(episodes, self._item_C)
        for fold in np.unique(fold_B):
            rows = np.flatnonzero(fold_B == fold)
            z_nM = z_BM[torch.from_numpy(rows)].double().numpy()
            self.gram_FMM[fold] += z_nM.T @ z_nM
            self.right_FCM[fold] += wanted_BC[rows].T @ z_nM

    def solved(self, n_users: int, dim: int, n_features: int) -> EpisodicRidge:
        """The regressions on all training users and without each fold: first on features, then on events
        of what features leave."""
        events, user = slice(0, 2 * dim + 2), slice(2 * dim + 2, None)
        folds = Folds.of(self.gram_FMM, self.right_FCM.swapaxes(1, 2))
        known = cross_validated(folds.part(user), np.repeat([1.0, INTERCEPT_PENALTY], [n_features, 1]))
        relative_E = np.repeat([1.0, WANTED_PENALTY], [dim, dim + 2])
        told = cross_validated(folds.rest(events, user, known), relative_E)
        ridge = told.above(known)
        share_C = (self._popularity_C + 0.5) / n_users
        return EpisodicRidge(
            torch.from_numpy(ridge.weight_MC),
            torch.from_numpy(np.stack(ridge.without_FMC)),
            torch.from_numpy(self._item_C),
            torch.from_numpy(np.log(share_C).astype(np.float32)),
            self.wanted_R,
        )


def n_inputs(dim: int, n_features: int) -> int:
    """M, of `inputs`."""
    return 2 * dim + 2 + n_features + 1


def fit_episodic_ridge(
    spectral_ND: Tensor,
    relevant_R: NDArray[np.bool_],
    histories: Histories,
    user_x: NDArray[np.float32],
    rules: EpisodeRules,
    popularity_N: NDArray[np.float64],
    seed: int,
) -> EpisodicRidge:
    """Ridge regression from the inputs of drawn episodes to whether each item is wanted later.

    Args:
        relevant_R: signals that are wanted.
        histories, user_x: the training users, (U), (U, F).
        popularity_N: expected number of wanted events after the support.
    """
    dim, n_features = spectral_ND.shape[1], user_x.shape[1]
    sums = RidgeSums(relevant_R, popularity_N, n_inputs(dim, n_features))
    for draw, fold in product(range(DRAWS), range(FOLDS)):
        users = np.arange(fold, histories.n_users, FOLDS)
        episodes = draw_episodes(histories, users, user_x, rules, (seed, FIRST_DRAW + draw))
        sums.add(episodes, users % FOLDS, inputs(spectral_ND, sums.wanted_R, episodes))
    return sums.solved(histories.n_users, dim, n_features)


def _wanted(episodes: Episodes, item_C: NDArray[np.int64]) -> sp.csr_matrix:
    """1 where a user wants an item later, (B, C)."""
    item = episodes.query_item.numpy()
    column = np.searchsorted(item_C, item).clip(max=len(item_C) - 1)
    known = item_C[column] == item
    user, ones = episodes.query_user.numpy()[known], np.ones(int(known.sum()))
    return sp.csr_matrix((ones, (user, column[known])), shape=(len(episodes), len(item_C)))
