"""Where learning starts over a large catalogue: items' tables spread over the workers.

Beside ``setup.build_model``, which keeps every table whole. Knows nothing of configurations.

Shapes: N catalogue, L rows of this worker, F item features, D embedding.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.learning.catalogue import Catalogue
from engine.learning.exchange import own_rows
from engine.learning.likeness import likeness_factors
from engine.learning.negatives import Negatives
from engine.learning.start import Start, known_shares
from engine.learning.workers import rank, world


def spread_catalogue(
    start: Start, item_x: NDArray[np.float32], histories: Histories, likeness_dim: int, draws: int, seed: int
) -> Catalogue:
    """This worker's part of the catalogue.

    Args:
        start: what counting gives; its embeddings are those of this worker's rows, (L, D).
        item_x: features of all items, (N, F).
        histories: of the training users.
        draws, seed: of negatives.
    """
    n_items = len(item_x)
    own = own_rows(n_items)
    x_NF, spectral_LD = torch.from_numpy(item_x), torch.from_numpy(start.spectral_ND)
    n_alike = min(likeness_dim, x_NF.shape[1])
    if n_alike:
        spectral_LD = torch.cat([spectral_LD, likeness_factors(x_NF, n_alike)[own]], dim=1)
    count_N = np.bincount(histories.item_row, minlength=n_items).astype(np.float64)
    known_L = torch.from_numpy(known_shares(histories, n_items))[own]
    negatives = Negatives(count_N, draws, seed)
    base_L, x_LF = torch.from_numpy(start.base_N)[own], x_NF[rank() :: world()].contiguous()  # alone: no copy
    return Catalogue(n_items, spectral_LD, base_L, known_L, x_LF, negatives, n_alike)
