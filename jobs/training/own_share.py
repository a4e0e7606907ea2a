"""A worker's own users and items of a large catalogue, read from the prepared data set piece by piece.

What a worker holds of them does not grow with the number of users. Knows nothing of what is counted.

Shapes: L items of this worker, F item features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.pieces import Piece, read_items
from engine.learning.crowd import Part
from engine.learning.workers import rank, world
from jobs.training.stream import Source


@dataclass(frozen=True)
class OwnUsers:
    """Of the pieces every W-th (``engine.learning.crowd.Crowd``); each reading reads them anew."""

    source: Source

    @property
    def n_users(self) -> int:
        return self.source.n_users

    @property
    def n_features(self) -> int:
        return self.source.user_encoder.n_features

    def parts(self) -> Iterator[Part]:
        own = self.source.pieces[rank() :: world()]
        yield from (self._part(piece, slice(None)) for piece in own)
        if not own:
            yield self._part(self.source.pieces[0], slice(0))  # nobody

    def _part(self, piece: Piece, some: slice) -> Part:
        numbers, rows = (values[some] for values in self.source.training_users([piece]))
        return Part(numbers, self.source.histories([piece], rows), partial(self._features, piece, rows))

    def _features(self, piece: Piece, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.source.user_encoder.transform(self.source.features([piece], rows))


def own_item_features(folder: Path, encoder: FeatureEncoder) -> Tensor:
    """Features of this worker's items, (L, F): every W-th of the catalogue."""
    first, own = 0, []
    for table in read_items(folder, list(encoder.encoders)):
        rows = np.arange((rank() - first) % world(), table.num_rows, world())
        own.append(encoder.transform(table.take(rows)))
        first += table.num_rows
    return torch.from_numpy(np.concatenate(own))
