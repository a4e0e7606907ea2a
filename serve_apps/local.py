"""Starts the application on this machine and stops it again; what ``firstclick serve`` and the demo use.

Knows nothing of the HTTP paths. On a cluster use ``serve deploy`` with ``config.yaml`` instead, which
updates a running application without a pause.
"""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.schema import LoggingConfig

from engine import Recommender
from engine.errors import ConfigError, FirstclickError
from serve_apps.app import bind_app
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Loader
from serve_apps.options import AppArgs

APP_NAME = "firstclick"


@dataclass(frozen=True)
class Server:
    """A running server."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://{host}:{self.port}"


@contextmanager
def serving(
    artifact: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    quiet: bool = True,
    loader: Loader = Recommender.load,
    **options: Any,
) -> Iterator[Server]:
    """Serve ``artifact`` (or what is live in ``registry``) while the ``with`` block runs; the block starts
    when requests are answered.

    Uses the Ray cluster this process is connected to or RAY_ADDRESS names, else starts one here and stops
    it at the end. Serve's own proxy is used, unless RAY_SERVE_ENABLE_HA_PROXY=1 is set before Python starts.

    Args:
        artifact: folder of the artifact. What is to answer is loaded here once first, so that a broken
            artifact is reported as what it is and not as a failed deployment.
        options: more arguments of the application, as in ``AppArgs``.
        quiet: keep Ray's messages to errors and Serve's to warnings.

    Raises:
        ArtifactError: the artifact is missing or broken.
        ConfigError: an option is wrong, nothing is live in the registry, the port is taken, or Serve already
            runs on this cluster.
        FirstclickError: the replicas did not start.
    """
    # No CPU is set aside: on a machine whose CPUs are all taken Serve would wait without an end.
    given = {"artifact": artifact and str(artifact), "num_cpus": 0, **options}
    args = AppArgs.parse({name: value for name, value in given.items() if value is not None}).located()
    _try(args, loader)
    _check_port_free(host, port)
    with _ray(quiet), _serve(host, port, quiet):
        _deploy(args, loader)
        yield Server(host, port)


def _try(args: AppArgs, loader: Loader) -> None:
    if args.registry is None:
        loader(str(args.artifact))
        return
    registry = ModelRegistry(Path(args.registry))
    roll_out = registry.roll_out()
    if roll_out is None:
        raise ConfigError(
            "nothing is live in the registry",
            where=args.registry,
            fix="Use 'firstclick models add' and 'firstclick models promote' first.",
        )
    for version in roll_out.versions():
        loader(str(registry.artifact(version)))


def _deploy(args: AppArgs, loader: Loader) -> None:
    try:
        logs = LoggingConfig(enable_access_log=False)  # it writes out paths; ours does not
        serve.run(bind_app(args, loader), name=APP_NAME, route_prefix="/", logging_config=logs)
    except RuntimeError as error:
        reports = serve.status().applications[APP_NAME].deployments.values()
        reason = " ".join(report.message.strip().rpartition("\n")[2] for report in reports)
        raise FirstclickError(
            f"the server did not start: {reason or error}",
            where=str(args.artifact or args.registry),
            fix="Ray's logs, by default under /tmp/ray/session_latest/logs/serve, have the details.",
        ) from error


def _check_port_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise _no_port(host, port, getattr(error, "strerror", None) or str(error)) from None


def _no_port(host: str, port: int, why: str) -> ConfigError:
    return ConfigError(
        f"cannot listen on {host}:{port}: {why}",
        where="--port",
        fix="Stop what uses the port, or choose another one.",
    )


@contextmanager
def _ray(quiet: bool) -> Iterator[None]:
    """A Ray cluster: the one there is, else a local one for as long as the block runs."""
    if ray.is_initialized():
        yield
        return
    # Without this, replicas run at nice 15 and starve beside whatever else runs here.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(
        None if "RAY_ADDRESS" in os.environ else "local",
        include_dashboard=False,
        log_to_driver=not quiet,
        logging_level=logging.ERROR if quiet else logging.INFO,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _serve(host: str, port: int, quiet: bool) -> Iterator[None]:
    """Serve with our HTTP options; they cannot be changed on a Serve that is already running."""
    if serve.status().proxies:
        raise ConfigError(
            "Ray Serve already runs on this cluster",
            where="firstclick serve",
            fix="Deploy to it with 'serve deploy serve_apps/config.yaml', or stop it with 'serve shutdown'.",
        )
    with _serve_log_level(logging.WARNING if quiet else logging.INFO):
        try:
            _start(host, port, quiet)
            yield
        finally:
            # Ray reports the controller's end, which is what we ask for, as a failed task on this stream.
            with redirect_stdout(io.StringIO()) if quiet else nullcontext():
                serve.shutdown()


def _start(host: str, port: int, quiet: bool) -> None:
    try:
        serve.start(
            http_options={"host": host, "port": port, "request_timeout_s": 30},
            logging_config=LoggingConfig(log_level="WARNING" if quiet else "INFO", enable_access_log=False),
        )
    except RuntimeError as error:
        if "Failed to bind" in str(error):  # taken since it was looked at
            raise _no_port(host, port, "it is in use") from None
        raise


@contextmanager
def _serve_log_level(level: int) -> Iterator[None]:
    log = logging.getLogger("ray.serve")
    before = log.level
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)
