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
from engine.learning.objectives import Meaning

NAME = "firstclick"


class ModelScorer:
    """Adapts the model to each user's support and scores the catalogue, in what the model predicts."""

    name = NAME

    def __init__(self, model: MetaModel) -> None:
        self._model = model

    @property
    def meaning(self) -> Meaning:
        return self._model.objective.predicts

    @cached_property
    def _view(self) -> View:
        return self._model.view()

    @torch.inference_mode()
    def score(self, episodes: Episodes) -> NDArray[np.float32]:
        """Scores of all items, (B, N)."""
        scores_BN = self._model.predict(self._view, episodes)
        return np.asarray(self._model.objective.prediction(scores_BN).numpy())
