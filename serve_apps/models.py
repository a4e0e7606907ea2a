"""The models of the current roll-out, loaded, and how they change under way.

A change is loaded beside what answers and then takes its place as a whole: a request sees the old models or
the new ones. A change that cannot be loaded is refused: what answered goes on answering, and the reason is
kept for who asks. Knows nothing of HTTP or Ray.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import Recommender
from engine.errors import ConfigError
from serve_apps.answers import RecommendAnswer
from serve_apps.model_registry import ModelRegistry
from serve_apps.people import History
from serve_apps.requests import RecommendRequest
from serve_apps.roll_out import RollOut
from serve_apps.served_model import INLINE_MS, ServedModel
from serve_apps.shadow import Shadow

WATCH_S = 1.0

Loader = Callable[[str], Recommender]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A roll-out with its models."""

    roll_out: RollOut
    models: dict[str, ServedModel]
    shadow: Shadow | None = None

    def answering(self, user_id: str | None) -> ServedModel:
        return self.models[self.roll_out.answering(user_id)]

    def look_on(self, request: RecommendRequest, history: History, told: Mapping[str, Any]) -> None:
        """Let the shadow, if any, compare itself with `ServedModel.told`."""
        if self.shadow:
            self.shadow.compare(request, history, RecommendAnswer.model_validate(told))


def only(model: ServedModel) -> Stage:
    """One model for everyone."""
    return Stage(RollOut(live=model.version), {model.version: model})


class Models:
    """What answers now (``stage``), and the registry it follows, if any.

    Args:
        loader: reads an artifact.
        artifact: the one model there is, if there is no registry.
        inline_ms: as in ``AppArgs``.
    """

    def __init__(
        self,
        loader: Loader,
        artifact: Path | None = None,
        registry: ModelRegistry | None = None,
        inline_ms: float = INLINE_MS,
    ) -> None:
        self._load, self._artifact, self.registry, self._inline_ms = loader, artifact, registry, inline_ms
        self._stamp: tuple[int, int] | None = None
        self._changing = asyncio.Lock()
        self.stage: Stage | None = None
        self.pinned: RollOut | None = None
        self.refused: str | None = None

    def start(self) -> None:
        """Load what is to answer; nothing, so far, where nothing is live in the registry.

        Raises:
            ArtifactError: an artifact is missing or broken.
            ConfigError: the registry's roll-out cannot be read.
        """
        if self.registry is None:
            self.stage = only(self._loaded(self._artifact))
            return
        self._stamp, roll_out = self.registry.stamp(), self.registry.roll_out()
        self.stage = roll_out and self._stage(roll_out)

    async def pin(self, roll_out: RollOut) -> None:
        """Follow ``roll_out``, whatever the registry says from now on."""
        self.pinned = roll_out
        async with self._changing:
            await self._change_to(roll_out)

    async def refresh(self) -> None:
        """Follow the registry if it has changed; a change under way is waited for."""
        async with self._changing:
            await self._follow()

    async def watch(self) -> None:
        """Follow the registry until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            await self.refresh()

    async def _follow(self) -> None:
        if self.registry is None or self.pinned is not None:
            return
        stamp = self.registry.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            roll_out = self.registry.roll_out()
        except ConfigError as error:
            self.refuse(error)
            return
        if roll_out is not None:
            await self._change_to(roll_out)

    async def _change_to(self, roll_out: RollOut) -> None:
        """Load and change over; one change at a time."""
        former = self.stage
        if former is not None and former.roll_out == roll_out:
            return
        try:
            self.stage = await asyncio.to_thread(self._stage, roll_out)
        except Exception as error:
            self.refuse(error)
            return
        self.refused = None
        _log.warning("models in use: %s", roll_out.model_dump(exclude_none=True))
        if former is not None and former.shadow is not None and former.shadow is not self.stage.shadow:
            former.shadow.close()

    def _stage(self, roll_out: RollOut) -> Stage:
        """Load what is not loaded yet."""
        former = self.stage
        have = dict(former.models) if former else {}
        if former and former.shadow:
            have[former.shadow.model.version] = former.shadow.model
        models = {version: have.get(version) or self._served(version) for version in roll_out.versions()}
        if roll_out.shadow is None:
            return Stage(roll_out, models)
        shadow = former.shadow if former else None
        if shadow is None or shadow.model.version != roll_out.shadow:
            shadow = Shadow(models[roll_out.shadow])
        return Stage(roll_out, models, shadow)

    def _served(self, version: str) -> ServedModel:
        if self.registry is None:
            raise ConfigError(
                f"cannot change to version '{version}'", where="user_config", fix="Serve a registry for that."
            )
        return self._loaded(self.registry.artifact(version))

    def _loaded(self, artifact: Path | None) -> ServedModel:
        return ServedModel(self._load(str(artifact)), self._inline_ms)

    def refuse(self, error: Exception) -> None:
        """Note why a change is not made."""
        self.refused = str(error)
        _log.error("a change of models was refused: %s", error, exc_info=error)
