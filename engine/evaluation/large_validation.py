"""How good a model is while it trains on a catalogue that is spread over workers.

Every worker scores its rows for a few users at a time; one of them, in turn, gathers these scores and judges.
The measure is that of ``validation``. Knows nothing of optimisers or passes.

Shapes: B users, L rows of this worker, N catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.data.episodes import Episodes
from engine.evaluation.protocol import HeldOut
from engine.evaluation.validation import judged
from engine.learning.catalogue import Catalogue
from engine.learning.exchange import gathered, own_rows
from engine.learning.inner_loop import Posterior
from engine.learning.meta import MetaModel, View
from engine.learning.small_catalogue import SmallCatalogue, in_terms_of, needed
from engine.learning.workers import rank, world


@torch.no_grad()
def spread_quality(held: HeldOut, catalogue: Catalogue, model: MetaModel) -> tuple[float, int]:
    """The measure averaged over the numbers of shots, as (sum over users, users) judged by this worker.

    Raises:
        torch.linalg.LinAlgError: the prior's precision is not positive definite.
    """
    factor_DD = torch.linalg.cholesky(model.prior.precision_of(catalogue.gram(model.items)))
    total, users = 0.0, 0
    for turn, part in enumerate(held.parts()):
        by_shots = []
        some = list(part.episodes.values())
        for episodes, own_BL in zip(some, own_scores(model, catalogue, factor_DD, some), strict=True):
            scores_NB = gathered(own_BL.T, catalogue.n_items, to=turn % world())
            if scores_NB is not None:
                by_shots.append(judged(model, scores_NB.T, episodes, part.outcomes))
        if turn % world() == rank():
            quality_B = np.mean(by_shots, axis=0)
            total, users = total + float(np.nansum(quality_B)), users + int(np.isfinite(quality_B).sum())
    return total, users


def own_scores(
    model: MetaModel, catalogue: Catalogue, factor_DD: Tensor, some: Sequence[Episodes]
) -> list[Tensor]:
    """Adapt and score this worker's rows, (B, L) for each of ``some``; `MetaModel.predict` does so for all.

    A row's embedding is computed once for all of them.
    """
    askers = [_adapted(model, catalogue, factor_DD, episodes) for episodes in some]
    n_own, first = len(own_rows(catalogue.n_items)), 0
    scores = [torch.empty(len(episodes), n_own) for episodes in some]
    for row_L, block in catalogue.blocks():
        seen = View(*model.items.represent(block), factor_DD)
        for (asked, posterior, spectral_MD), scores_BL in zip(askers, scores, strict=True):
            score_BL = model.score(seen, posterior, asked.shots)
            if model.ridge is not None:
                score_BL = score_BL + model.ridge(spectral_MD, asked, seen.shown_N, None, row_L)
            scores_BL[:, first : first + len(row_L)] = score_BL
        first += len(row_L)
    return scores


def _adapted(
    model: MetaModel, catalogue: Catalogue, factor_DD: Tensor, episodes: Episodes
) -> tuple[Episodes, Posterior, Tensor]:
    """The episodes in terms of the items they need, where their users stand, and those items' start."""
    row_M = needed(episodes, met=False, drawn_M=torch.zeros(1, dtype=torch.int64))
    rows = catalogue.lend(row_M).rows
    small = SmallCatalogue(row_M, rows, torch.zeros(len(row_M)), catalogue.n_items)
    asked = in_terms_of(row_M, episodes)
    view = View(*model.items.represent(rows), factor_DD, small)
    return asked, model.adapt(view, model.prior.mean(asked.user_x), asked), rows.spectral_ND
