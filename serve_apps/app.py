"""The Ray Serve application: one ingress deployment that loads its models and answers.

Knows nothing of HTTP paths (``ingress``) or of how Serve is started (``local``, ``serve deploy``). Importing
this module starts nothing. One deployment and no handle between two: a hop costs more than adapting and
ranking do.

    serve run serve_apps.app:build_app artifact=path/to/artifact
    serve deploy serve_apps/config.yaml
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError
from ray import serve

from engine import Recommender
from serve_apps import whole_answers
from serve_apps.access_log import own_file
from serve_apps.event_store import open_store
from serve_apps.ingress import create_app
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Loader, Models
from serve_apps.options import AppArgs
from serve_apps.roll_out import RollOut
from serve_apps.security.api_keys import ApiKeys
from serve_apps.security.rate_limit import RateLimit
from serve_apps.service import Service
from serve_apps.telemetry import Telemetry, gathered

DEPLOYMENT = "Recommendations"

_log = logging.getLogger(__name__)


class RecommendationsReplica:
    """One replica: the models, loaded once, and the application in front of them."""

    def __init__(self, args: AppArgs, loader: Loader) -> None:
        serve_logger = logging.getLogger("ray.serve")
        logging.getLogger("serve_apps").parent = serve_logger  # Serve's files and level
        self._lines = own_file(serve_logger)
        whole_answers.install()  # Serve starts the replica's HTTP server after this
        self._args = args
        artifact, registry = args.artifact and Path(args.artifact), args.registry and Path(args.registry)
        self._models = Models(
            loader, artifact or None, ModelRegistry(registry) if registry else None, args.inline_ms
        )
        self._models.start()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve calls this with ``user_config``, at the start and whenever it changes: a roll-out.

        Nothing is raised, for Serve would then stop the replica: what cannot be done is logged, shown by
        ``/v1/models``, and what answered goes on answering.
        """
        try:
            roll_out = RollOut.model_validate(user_config)
        except ValidationError as error:
            self._models.refuse(error)
            return
        await self._models.pin(roll_out)

    def __serve_build_asgi_app__(self) -> FastAPI:
        args = self._args
        events = open_store(args.event_store, args.history) if args.event_store else None
        return create_app(
            Service(self._models, events, Telemetry(), gathered),
            keys=ApiKeys(Path(args.api_keys)) if args.api_keys else None,
            rate=RateLimit(args.requests_per_second, args.burst) if args.requests_per_second else None,
            cors_origins=args.cors_origins,
            limit_bytes=args.max_body_bytes,
            lines=self._lines,
        )


def bind_app(args: AppArgs, loader: Loader = Recommender.load) -> serve.Application:
    """The application with ``loader`` to read artifacts in each replica (it travels there by pickle)."""
    located, scaling = args.located(), args.scaling()
    if args.approximate_above is not None:
        loader = partial(loader, approximate_above=args.approximate_above)
    deployment = serve.deployment(
        serve.ingress()(RecommendationsReplica),
        name=DEPLOYMENT,
        max_ongoing_requests=args.max_ongoing_requests,
        max_queued_requests=args.max_queued_requests,
        max_constructor_retry_count=3,
        health_check_period_s=2,  # how soon a replica that died is missed
        ray_actor_options={"num_cpus": args.num_cpus},
        **scaling,
    )
    return deployment.bind(located, loader)


def build_app(args: dict[str, Any]) -> serve.Application:
    """Builder for ``import_path: serve_apps.app:build_app``; Serve allows it exactly one parameter.

    Args:
        args: as in ``AppArgs`` (or an ``AppArgs``).

    Raises:
        ConfigError: an argument is unknown, missing or out of range, or the API keys cannot be read.
        ArtifactError: the artifact is missing or cannot be read.
    """
    return bind_app(AppArgs.parse(args))
