"""Arguments of the application: ``args`` of a Serve config file, or keywords of ``firstclick serve``.

Knows nothing of how they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.artifact import read_manifest
from engine.errors import ConfigError
from engine.ranking.approximate import need_faiss
from serve_apps.bodies import LIMIT_BYTES
from serve_apps.event_store import HISTORY
from serve_apps.event_store.open import is_redis
from serve_apps.security.api_keys import read_keys
from serve_apps.served_model import INLINE_MS


class AppArgs(BaseModel):
    """Arguments of ``build_app``; an unknown one is an error.

    Scaling set under ``deployments:`` of a Serve config file takes precedence over what is set here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    artifact: str | None = Field(
        None, min_length=1, description="Folder of the artifact, on every node that may serve; or a registry."
    )
    registry: str | None = Field(
        None, min_length=1, description="Folder of a model registry, on a disk that all nodes see."
    )
    approximate_above: int | None = Field(
        None,
        ge=0,
        description="Search catalogues of more items through an index, which finds most of the best ones and "
        "needs the extra 'index'; default: always find the best.",
    )
    inline_ms: float = Field(
        INLINE_MS,
        ge=0,
        description="Plain requests are answered on the event loop where finding the best takes less than"
        " this for a typical person; else in a thread, those that wait together. 0: always so.",
    )
    event_store: str | None = Field(
        None,
        min_length=1,
        description="Where events are kept: a file (one node), or redis://...; else nowhere.",
    )
    history: int = Field(HISTORY, ge=1, le=1000, description="Events kept of a person, the newest.")
    api_keys: str | None = Field(
        None, min_length=1, description="File that 'firstclick keys' keeps; without it no key is asked for."
    )
    requests_per_second: float | None = Field(
        None, gt=0, description="How often each key may call each replica; default: no limit."
    )
    burst: int = Field(100, ge=1, description="How many calls of a key may come at once.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Web pages from there may call, e.g. https://shop.example; default: none."
    )
    max_body_bytes: int = Field(LIMIT_BYTES, ge=1024, description="Largest request body.")
    num_replicas: int | None = Field(
        None, ge=1, description="A fixed number of replicas; excludes max_replicas."
    )
    min_replicas: int = Field(1, ge=1, description="Autoscaling's lower bound; used with max_replicas.")
    max_replicas: int | None = Field(
        None, ge=1, description="Autoscaling's upper bound; default: one replica."
    )
    target_ongoing_requests: float = Field(4, gt=0, description="Load per replica that autoscaling aims at.")
    max_ongoing_requests: int = Field(64, ge=1, description="Requests a replica holds at once.")
    max_queued_requests: int = Field(1000, ge=-1, description="Beyond these, callers get 503; -1: no limit.")
    num_cpus: float = Field(1, ge=0, description="CPUs set aside for a replica; also its number of threads.")

    @staticmethod
    def parse(args: AppArgs | Mapping[str, Any]) -> AppArgs:
        """Raises ConfigError naming the arguments that are wrong."""
        if isinstance(args, AppArgs):
            return args
        try:
            parsed = AppArgs.model_validate(dict(args))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join(AppArgs.model_fields)
            raise ConfigError(
                f"wrong arguments: {faults}", where="build_app", fix=f"The arguments are {known}."
            ) from None
        if (parsed.artifact is None) == (parsed.registry is None):
            raise ConfigError(
                f"artifact={parsed.artifact} and registry={parsed.registry}",
                where="build_app",
                fix="Give one of them: an artifact to serve, or a registry that says what to serve.",
            )
        return parsed

    def located(self) -> AppArgs:
        """The same with absolute paths, so that replicas may run in another working directory, and checked.

        Raises:
            ArtifactError: the artifact is not there, its manifest cannot be read, or its format is newer.
            ConfigError: the file of API keys cannot be read, or what an approximate search needs is missing.
        """
        paths = {name: _absolute(getattr(self, name)) for name in ("artifact", "registry", "api_keys")}
        if self.event_store and not is_redis(self.event_store):
            paths["event_store"] = _absolute(self.event_store)
        located = self.model_copy(update=paths)
        if located.artifact:
            read_manifest(Path(located.artifact))
        if located.approximate_above is not None:
            need_faiss()
        if located.api_keys:
            read_keys(Path(located.api_keys))
        return located

    def scaling(self) -> dict[str, Any]:
        """The part of a deployment's options that sets the number of its replicas."""
        if self.max_replicas is None:
            return {"num_replicas": self.num_replicas or 1}
        if self.num_replicas is not None or self.max_replicas < self.min_replicas:
            raise ConfigError(
                f"num_replicas={self.num_replicas}, min_replicas={self.min_replicas} and "
                f"max_replicas={self.max_replicas} do not fit together",
                where="build_app",
                fix="Give num_replicas alone, or min_replicas <= max_replicas.",
            )
        return {
            "autoscaling_config": {
                "min_replicas": self.min_replicas,
                "max_replicas": self.max_replicas,
                "target_ongoing_requests": self.target_ongoing_requests,
            }
        }


def _absolute(path: str | None) -> str | None:
    return path and str(Path(path).expanduser().resolve())
