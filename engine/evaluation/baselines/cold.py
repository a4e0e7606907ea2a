"""The baselines for items without events, tuned on validation users who are asked for such items.

Knows nothing of test users or of how a method scores.

Shapes: N catalogue, F item features.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes, take_episodes
from engine.data.histories import Histories
from engine.evaluation.baselines.families import Family
from engine.evaluation.baselines.features import fit_feature_knn, popularity_by_features
from engine.evaluation.baselines.knowledge import Knowledge, learn
from engine.evaluation.baselines.scorer import Constant, Scorer
from engine.evaluation.baselines.tuning import TUNING_USERS, as_scorer, tune
from engine.evaluation.metrics import ndcg_at
from engine.evaluation.protocol import Order

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
POPULARITY, FEATURE_KNN = "popularity by features", "feature-kNN"


def cold_baselines(
    train: Histories,
    item_x: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    validation: Mapping[int, Episodes],
    gap: int = 20,
    order: Order = "time",
) -> list[Scorer]:
    """Popularity by features, and feature-kNN with it as its base.

    Args:
        train: histories of the training users, without the cold items' events.
        item_x: (N, F).
        validation: validation users' episodes with cold items, by shots.
        relevant, gap, order: as for `engine.evaluation.protocol.hold_out`.
    """
    knowledge = learn(train, len(item_x), relevant, gap, order, max(validation))
    sample = {shots: take_episodes(e, slice(0, TUNING_USERS)) for shots, e in validation.items()}
    base = _best_base(knowledge, item_x, next(iter(sample.values())))
    family = Family(FEATURE_KNN, partial(fit_feature_knn, item_x=item_x), {"weighting": ("plain", "rare")})
    choices = tune(family, knowledge, sample, base.base)
    return [base, as_scorer(family, base.base, choices)]


def _best_base(knowledge: Knowledge, item_x: NDArray[np.float32], episodes: Episodes) -> Constant:
    """The penalty of highest validation nDCG@10; the query is the same at every number of shots."""
    tried = [Constant(POPULARITY, popularity_by_features(knowledge, item_x, p)) for p in PENALTIES]
    return max(tried, key=lambda scorer: float(np.nanmean(ndcg_at(scorer.score(episodes), episodes))))
