"""The episodic ridge over a large catalogue: every worker draws its own users, and the sums are added up.

Knows nothing of how the regression is solved; see ``episodic_ridge``.

Shapes: B users of a part, N catalogue, M inputs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.episodes import EpisodeRules, Episodes, draw_episodes
from engine.learning.catalogue import Catalogue
from engine.learning.crowd import Crowd, Part, in_step
from engine.learning.episodic_ridge import DRAWS, FIRST_DRAW, EpisodicRidge, RidgeSums, inputs, n_inputs
from engine.learning.exchange import summed
from engine.learning.folds import FOLDS
from engine.learning.small_catalogue import distinct, in_terms_of

EPISODES = 200_000  # in all, about


def fit_large_ridge(
    catalogue: Catalogue, crowd: Crowd, rules: EpisodeRules, popularity_N: NDArray[np.float64], seed: int
) -> EpisodicRidge:
    """As `fit_episodic_ridge`, but for fewer draws of many users. All workers call it together."""
    dim, n_features = catalogue.spectral_LD.shape[1], crowd.n_features
    sums = RidgeSums(rules.relevant, popularity_N, n_inputs(dim, n_features))
    for draw in range(max(1, min(DRAWS, EPISODES // crowd.n_users))):
        for part in in_step(crowd.parts()):
            episodes = None if part is None else _drawn(part, rules, (seed, FIRST_DRAW + draw))
            z_BM = _inputs(catalogue, sums.wanted_R, episodes)
            if part is not None and episodes is not None and z_BM is not None:
                sums.add(episodes, part.numbers % FOLDS, z_BM)
    for table in (sums.gram_FMM, sums.right_FCM):
        summed(torch.from_numpy(table))
    return sums.solved(crowd.n_users, dim, n_features)


def _drawn(part: Part, rules: EpisodeRules, seed: tuple[int, int]) -> Episodes:
    return draw_episodes(
        part.histories, np.arange(len(part.numbers)), part.features(), rules, seed, part.numbers
    )


def _inputs(catalogue: Catalogue, wanted_R: Tensor, episodes: Episodes | None) -> Tensor | None:
    """`inputs` by the rows of P0 that the episodes speak of, which all workers lend; nobody's need none."""
    shown = torch.zeros(1, dtype=torch.int64)  # so that there is one
    if episodes is not None:
        shown = torch.cat([shown, episodes.support_item[episodes.present]])
    row_M = distinct(shown)
    place_MD = catalogue.places(row_M)
    return None if episodes is None else inputs(place_MD, wanted_R, in_terms_of(row_M, episodes))
