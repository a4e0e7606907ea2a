"""How good a model is while it trains: one number, by what it is trained for.

Knows nothing of optimisers or passes.

Shapes: B held-out users.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.data.episodes import Episodes
from engine.evaluation import metrics as m
from engine.evaluation.protocol import HeldOut, Outcomes
from engine.learning.meta import MetaModel, View
from engine.learning.objectives import Rating

MEASURES = {"ranking": "nDCG@10", "click": "log loss", "rating": "RMSE"}
"""What decides when to stop, by objective; of the latter two the quality is the negative."""
HEADLINES = {"ranking": "ndcg@10", "click": "ndcg@10", "rating": "rmse"}
"""What a report shows first, by objective."""

VALIDATED = 10_000
"""At most so many validation users are judged after each pass: more would cost time and decide nothing."""


@torch.inference_mode()
def validation_quality(held: HeldOut, rank: int, world: int, model: MetaModel) -> tuple[float, int]:
    """The measure averaged over the numbers of shots, as (sum over users, users).

    The sum is minus infinity if a score is not finite: such a model must never be the best.
    The users are cut into a part for each of several workers, at least; a worker judges every ``world``-th.
    """
    view = model.view()
    total, users = 0.0, 0
    shares = replace(held, at_once=min(held.at_once, max(1, math.ceil(len(held.users) / world))))
    for part in shares.parts(rank, world):
        by_shots = [_quality(model, view, e, part.outcomes) for e in part.episodes.values()]
        quality_B = np.mean(by_shots, axis=0)
        total, users = total + float(np.nansum(quality_B)), users + int(np.isfinite(quality_B).sum())
    return total, users


def _quality(model: MetaModel, view: View, episodes: Episodes, outcomes: Outcomes) -> m.PerUser:
    return judged(model, model.predict(view, episodes.to(view.phi_ND.device)), episodes, outcomes)


def judged(model: MetaModel, scores: Tensor, episodes: Episodes, outcomes: Outcomes) -> m.PerUser:
    """The measure of each user, (B,), by the scores of all items, (B, N)."""
    if not scores.isfinite().all():
        return np.full(len(episodes), -np.inf)
    predicted_BN = model.objective.prediction(scores).cpu().numpy()
    if isinstance(model.objective, Rating):
        return -m.rmse(predicted_BN, outcomes, model.objective.value_R.cpu().numpy())
    if model.objective.predicts == "probability":
        return -m.log_loss(predicted_BN, episodes)
    return m.ndcg_at(predicted_BN, episodes)
