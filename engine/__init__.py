"""The recommender of firstclick. Knows nothing of Ray, HTTP or where files are kept.

``Recommender`` is imported on first use: it brings torch, which preparing data does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    FirstclickError,
    RequestError,
    TrainingError,
)

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name == "Recommender":
        from engine.recommender import Recommender

        return Recommender
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
