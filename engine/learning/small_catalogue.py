"""The few items that a step of a large catalogue needs, and its episodes in their terms.

All maths of the model works on them as on a whole catalogue; sums over the catalogue become weighted ones.
Knows nothing of where rows are kept.

Shapes: M items of the step, N catalogue, B users.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from engine.data.episodes import Episodes
from engine.learning.items import ItemRows


class SmallCatalogue(NamedTuple):
    """What is known of M of N items."""

    row_M: Tensor  # their rows, ascending
    rows: ItemRows
    weight_M: Tensor  # what an item stands for in sums over the catalogue: 1 / its chance, 0 if not drawn
    n_items: int

    def shares(self) -> Tensor:
        """Weights that make a mean over the M items one over the N."""
        return self.weight_M * (len(self.row_M) / self.n_items)


def distinct(row_A: Tensor) -> Tensor:
    """Each row once, ascending."""
    row_M: Tensor = torch.unique(row_A)
    return row_M


def needed(episodes: Episodes, met: bool, drawn_M: Tensor) -> Tensor:
    """Rows of the drawn items and of all that users were shown, asked for and (if ``met``) met, ascending."""
    own = [episodes.support_item[episodes.present], episodes.query_item]
    return distinct(torch.cat([drawn_M, *own, *([episodes.met_item] if met else [])]))


def weights(row_M: Tensor, drawn: Tensor, chance: Tensor) -> Tensor:
    """1 / chance of the drawn rows, 0 of the others, (M,)."""
    weight_M = torch.zeros(len(row_M))
    weight_M[torch.searchsorted(row_M, drawn)] = 1 / chance
    return weight_M


def in_terms_of(row_M: Tensor, episodes: Episodes) -> Episodes:
    """The episodes with places among ``row_M`` for item rows; what is barred or met elsewhere is left out."""

    def place(item: Tensor) -> tuple[Tensor, Tensor]:
        at = torch.searchsorted(row_M, item).clamp(max=len(row_M) - 1)
        return at, row_M[at] == item

    support, _ = place(episodes.support_item)
    barred, is_barred = place(episodes.barred_item)
    met, is_met = place(episodes.met_item)
    return replace(
        episodes,
        support_item=support * episodes.present,
        query_item=place(episodes.query_item)[0],
        met_user=episodes.met_user[is_met],
        met_item=met[is_met],
        met_signal=episodes.met_signal[is_met],
        barred_user=episodes.barred_user[is_barred],
        barred_item=barred[is_barred],
    )
