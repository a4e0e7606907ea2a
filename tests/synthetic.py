"""A model with random tables of any size, shaped like a trained one's, for measuring speed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from engine.artifact import Artifact
from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.signals import Signals
from engine.learning.episodic_ridge import ITEMS, EpisodicRidge
from engine.learning.evidence import Evidence
from engine.learning.inner_loop import ClosedForm
from engine.learning.items import ItemRepresentation
from engine.learning.meta import MetaModel
from engine.learning.objectives import Click, Objective, Ranking
from engine.learning.prior import UserPrior
from engine.learning.robust import Credence

SIGNALS = Signals(("1", "2", "3", "4", "5"), np.arange(1.0, 6.0), np.empty(0))


def synthetic_artifact(
    n_items: int, dim: int = 64, objective: Objective | None = None, robust: bool = False, seed: int = 0
) -> Artifact:
    """Item lengths, popularity and the ridge's weights are spread as after training on MovieLens."""
    rng = torch.Generator().manual_seed(seed)
    spectral_ND = torch.randn(n_items, dim, generator=rng) * torch.linspace(1.5, 0.3, dim)
    spectral_ND *= 1.5 / spectral_ND.norm(dim=1).mean()
    share_N = 0.3 * (1 + torch.arange(n_items)).float() ** -0.8 + 1e-6
    share_N = share_N[torch.randperm(n_items, generator=rng)]
    warm_N = torch.ones(n_items, dtype=torch.bool)
    objective = objective or Ranking()
    base_N = share_N.logit() if isinstance(objective, Click) else share_N.log()
    items = ItemRepresentation(
        spectral_ND, base_N, warm_N, torch.zeros(n_items, 0), torch.zeros(n_items, dim), torch.zeros(n_items)
    )
    items.known_N.copy_(share_N)
    model = MetaModel(
        items,
        UserPrior(dim, 0, 10.0, 1.0),
        Evidence(torch.tensor([0.1, 0.2, 0.4, 0.8, 1.0]), 1.0),
        ClosedForm(objective.likelihood),
        objective,
        4.0,
        _ridge(share_N, dim, rng),
        Credence(4.0) if robust else None,
    )
    table = pa.table({"item_id": [f"i{row}" for row in range(n_items)]})
    none = FeatureEncoder({})
    return Artifact(model.eval(), table, SIGNALS, 4, none, none, {"version": "synthetic"})


def _ridge(share_N: torch.Tensor, dim: int, rng: torch.Generator) -> EpisodicRidge:
    item_C = share_N.argsort(descending=True)[:ITEMS].sort().values
    share_C = share_N[item_C]
    weight_MC = torch.randn(2 * dim + 3, len(item_C), generator=rng) * share_C * RIDGE / dim**0.5
    weight_MC[-3:-1] = 0.01 * share_C
    weight_MC[-1] = share_C
    wanted_R = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0])
    return EpisodicRidge(weight_MC, None, item_C, share_C.log(), wanted_R)


RIDGE = 0.3
"""Length of the ridge's weights of an item beside its popularity, for what was met and what was wanted."""
