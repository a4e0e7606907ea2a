"""The outer loop's optimiser: which parameters move how fast.

Knows nothing of losses or data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from engine.learning.meta import MetaModel

TABLES = (
    "items.residual_ND",
    "items.encoder_FD",
    "items.base_residual_N",
    "items.cold_base_F",
    "items.log_gain_D",
    "prior.from_features_FD",
    "prior.log_precision_D",
    "log_scale_D",
)
"""Parameters with an entry for each item, feature or dimension: slow, and decayed towards their start."""
SCALARS = (
    "items.power",
    "items.log_cold_gain_2",
    "prior.level",
    "prior.log_unseen",
    "log_scale",
    "doubt.numbers",
)
"""Single numbers that all of the model hangs on: fast, and not decayed."""


@dataclass(frozen=True)
class Rates:
    """Step sizes and decays of the outer loop's three groups of parameters."""

    scalar: float
    outer: float
    decay: float
    table: float
    table_decay: float


def optimiser_for(model: MetaModel, rates: Rates) -> torch.optim.AdamW:
    """AdamW with three groups: single numbers, what is learned by signal, age or shots, and tables."""
    named = dict(model.named_parameters())
    rest = [p for name, p in named.items() if name not in (*TABLES, *SCALARS)]
    groups = [
        {
            "params": [named[name] for name in SCALARS if name in named],
            "lr": rates.scalar,
            "weight_decay": 0.0,
        },
        {"params": rest, "lr": rates.outer, "weight_decay": rates.decay},
        {"params": [named[name] for name in TABLES], "lr": rates.table, "weight_decay": rates.table_decay},
    ]
    return torch.optim.AdamW(groups, fused=True)


def load_moments(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Go on from a saved state, at the rates and decays that ``optimiser`` has."""
    own = [{name: group[name] for name in ("lr", "weight_decay")} for group in optimiser.param_groups]
    optimiser.load_state_dict(dict(state))
    for group, rates in zip(optimiser.param_groups, own, strict=True):
        group.update(rates)
