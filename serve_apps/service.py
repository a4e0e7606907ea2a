"""What the paths work with: the models, the event store, and whether each is there.

Knows nothing of Ray.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.exceptions import HTTPException

from serve_apps.event_store import EventStore
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models, Stage


@dataclass(frozen=True)
class Service:
    """Each property answers, or raises the HTTP error that says what is missing."""

    models: Models
    events: EventStore | None = None

    @property
    def stage(self) -> Stage:
        if self.models.stage is None:
            raise HTTPException(
                503, "No model is loaded yet. Try again in a moment.", headers={"Retry-After": "1"}
            )
        return self.models.stage

    @property
    def store(self) -> EventStore:
        if self.events is None:
            raise HTTPException(404, "This server keeps no events. Start it with an event store.")
        return self.events

    @property
    def registry(self) -> ModelRegistry:
        if self.models.registry is None:
            raise HTTPException(404, "This server has one model and no registry. Start it with a registry.")
        return self.models.registry
