"""The meta-learned model among the methods that are measured.

Knows nothing of how it was trained.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.episodes import Episodes
from engine.learning.meta import MetaModel, View

NAME = "firstclick"


class ModelScorer:
    """Adapts the model to each user's support and scores the catalogue."""

    name = NAME

    def __init__(self, model: MetaModel) -> None:
        self._model = model

    @cached_property
    def _view(self) -> View:
        return self._model.view()

    @torch.inference_mode()
    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        """Scores of all items, (B, N)."""
        return np.asarray(self._model.predict(self._view, episodes).numpy())
