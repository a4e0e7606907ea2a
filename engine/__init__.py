"""The recommender of firstclick. Knows nothing of Ray, HTTP or where files are kept."""

from engine.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    FirstclickError,
    RequestError,
    TrainingError,
)
from engine.recommender import Recommender

__all__ = [
    "ArtifactError",
    "ConfigError",
    "DataError",
    "FirstclickError",
    "Recommender",
    "RequestError",
    "TrainingError",
]
