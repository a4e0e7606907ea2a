"""The Ray Serve application: one ingress deployment that loads an artifact and answers.

Knows nothing of HTTP paths (``ingress``) or of how Serve is started (``local``, ``serve deploy``). Importing
this module starts nothing. One deployment and no handle between two: a hop costs more than adapting and
ranking do.

    serve run serve_apps.app:build_app artifact=path/to/artifact
    serve deploy serve_apps/config.yaml
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve

from engine import Recommender
from engine.artifact import read_manifest
from engine.errors import ConfigError
from serve_apps.bodies import LIMIT_BYTES
from serve_apps.ingress import create_app
from serve_apps.served_model import ServedModel

DEPLOYMENT = "Recommendations"

Loader = Callable[[str], Recommender]


class AppArgs(BaseModel):
    """Arguments of ``build_app``; an unknown one is an error.

    Scaling set under ``deployments:`` of a Serve config file takes precedence over what is set here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    artifact: str = Field(min_length=1, description="Folder of the artifact, on every node that may serve.")
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
    max_body_bytes: int = Field(LIMIT_BYTES, ge=1024, description="Largest request body.")

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
        return parsed

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


class RecommendationsReplica:
    """One replica: the model, loaded once, and the application in front of it."""

    def __init__(self, artifact: str, max_body_bytes: int, loader: Loader) -> None:
        self._model = ServedModel(loader(artifact))
        self._max_body_bytes = max_body_bytes

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(lambda: self._model, limit_bytes=self._max_body_bytes)


def find_artifact(artifact: str | Path) -> str:
    """The artifact's absolute path, so that replicas may run in another working directory.

    Raises:
        ArtifactError: it is not there, its manifest cannot be read, or its format is newer.
    """
    folder = Path(artifact).expanduser().resolve()
    read_manifest(folder)
    return str(folder)


def bind_app(args: AppArgs, loader: Loader = Recommender.load) -> serve.Application:
    """The application with ``loader`` to read the artifact in each replica (it travels there by pickle)."""
    artifact, scaling = find_artifact(args.artifact), args.scaling()
    deployment = serve.deployment(
        serve.ingress()(RecommendationsReplica),
        name=DEPLOYMENT,
        max_ongoing_requests=args.max_ongoing_requests,
        max_queued_requests=args.max_queued_requests,
        max_constructor_retry_count=3,
        ray_actor_options={"num_cpus": args.num_cpus},
        **scaling,
    )
    return deployment.bind(artifact, args.max_body_bytes, loader)


def build_app(args: dict[str, Any]) -> serve.Application:
    """Builder for ``import_path: serve_apps.app:build_app``; Serve allows it exactly one parameter.

    Args:
        args: as in ``AppArgs`` (or an ``AppArgs``).

    Raises:
        ConfigError: an argument is unknown, missing or out of range.
        ArtifactError: the artifact is missing or cannot be read.
    """
    return bind_app(AppArgs.parse(args))
