"""What the paths work with: the models, the event store, and whether each is there.

Knows nothing of Ray.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from serve_apps.event_store import EventStore
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models, Stage

if TYPE_CHECKING:  # brings Ray
    from serve_apps.telemetry import Telemetry


@dataclass(frozen=True)
class Service:
    """Each property answers, or raises the HTTP error that says what is missing."""

    models: Models
    events: EventStore | None = None
    telemetry: Telemetry | None = None
    metrics: Callable[[], Awaitable[str]] | None = None  # the page for Prometheus

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
