"""The shipped Serve configuration at work: HAProxy in front, Redis behind, two replicas.

HAProxy is chosen by the environment before Ray is imported, hence a process of its own. What differs from
``config.yaml``: where things are, no limit on a key's rate, and a number of replicas in place of autoscaling.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from tests.ports import free_port
from tests.processes import descendants, left_of, titled
from tests.redis_server import RedisServer

if TYPE_CHECKING:  # brings Ray
    from serve_apps.model_registry import ModelRegistry

PROJECT = Path(__file__).parents[2]
APP = "firstclick"
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
SCALING = {
    "min_replicas": 1,
    "max_replicas": 2,
    "target_ongoing_requests": 1,
    "metrics_interval_s": 0.5,
    "look_back_period_s": 2,
    "upscale_delay_s": 1,
    "downscale_delay_s": 2,
}
SOON = {
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",  # in place of 30 until a replica goes
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",  # in place of 1,000 lines until Serve writes them
}


class Callers(NamedTuple):
    """What a caller must know, and the folder of Serve's logs.

    Below ``url``, ``/narrow`` is an application that holds few requests, ``/growing`` one that scales.
    """

    url: str
    key: str
    logs: str


def serve_logs() -> str:
    """Of the Ray session of this process."""
    import ray

    return os.path.join(ray._private.worker.global_worker.node.get_session_dir_path(), "logs", "serve")


def environment(folder: str) -> dict[str, str]:
    """For a process that serves; HAProxy gets files and ports of its own, so that two of them do not meet."""
    places = {
        "CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "SOCKET_PATH": f"{folder}/admin.sock",
        "METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        "SERVER_STATE_BASE": folder,
        "SERVER_STATE_FILE": f"{folder}/server-state",
        "METRICS_PORT": str(free_port()),
        "STATS_PORT": str(free_port()),
    }
    haproxy = {f"RAY_SERVE_HAPROXY_{name}": value for name, value in places.items()}
    here = {"RAY_ADDRESS": "local", "PYTHONPATH": str(PROJECT)}
    return os.environ | shipped_environment() | THREADS | haproxy | here


def shipped_environment() -> dict[str, str]:
    """What the pods of ``kuberay.yaml`` (and the machines of ``cluster.yaml``) set before Ray starts."""
    kuberay = yaml.safe_load((PROJECT / "serve_apps" / "kuberay.yaml").read_text())
    head = kuberay["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    variables = {variable["name"]: variable.get("value") for variable in head["env"]}
    return {name: value for name, value in variables.items() if value and not name.startswith("RAY_AUTH")}


def in_own_process(module: str, *arguments: str) -> Any:
    """What ``python -m module`` writes last, as JSON."""
    command = [sys.executable, "-m", module, *arguments]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, cwd=PROJECT, env=environment(folder), check=True, stdout=subprocess.PIPE, text=True
        )
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def served_elsewhere() -> Iterator[Callers]:
    """The service in a process of its own, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=PROJECT, env=environment(folder) | SOON, **pipes) as process:
            try:
                line = next((line for line in process.stdout if line.startswith("{")), None)
                assert line is not None, "it did not start; see its messages above"
                yield Callers(**json.loads(line))
            finally:
                process.stdin.close()
                process.wait(60)


@dataclass
class Shipped:
    """A running service; ``deploy`` sends the configuration again, changed, as ``serve deploy`` does."""

    url: str
    key: str
    registry: ModelRegistry
    versions: list[str]
    redis: RedisServer
    config: dict[str, Any] = field(repr=False)

    def deploy(self, args: dict[str, Any] | None = None, **deployment: Any) -> None:
        from ray.serve.context import _get_global_client
        from ray.serve.schema import ServeDeploySchema

        application = self.config["applications"][0]
        application["args"] |= args or {}
        application["deployments"][0] |= deployment
        schema = ServeDeploySchema.model_validate(copy.deepcopy(self.config))
        _get_global_client().deploy_apps(schema, _blocking=False)

    def replica_pids(self) -> set[int]:
        """Processes of the replicas that are neither on their way in nor out."""
        from ray.serve.context import _get_global_client

        deployments = _get_global_client().get_serve_details()["applications"][APP]["deployments"]
        replicas = deployments["Recommendations"]["replicas"] if deployments else []
        return {replica["pid"] for replica in replicas if replica["state"] == "RUNNING"}


def wait_until(happens: Callable[[], Any], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


@contextmanager
def shipped_service(folder: Path, n_items: int = 40, dim: int = 8, others: bool = False) -> Iterator[Shipped]:
    """Serve three versions of a model, the first of them live, from two replicas until the block ends.

    Args:
        others: beside it, the applications below ``/narrow`` and ``/growing``; see `Callers`.
    """
    import ray
    from ray import serve

    from serve_apps.model_registry import ModelRegistry
    from serve_apps.security.api_keys import Scope, create_key
    from tests.serve_apps.conftest import SEEDS, drawn_artifact

    registry = ModelRegistry(folder / "registry")
    versions = [registry.add(Path(drawn_artifact(folder / f"artifact-{n}", n, n_items, dim))) for n in SEEDS]
    registry.promote(versions[0])
    _, key = create_key(folder / "keys.json", "callers", Scope.ADMIN)
    redis, port = RedisServer(folder), free_port()
    config = _config(folder, redis.address)
    if others:
        (application,) = config["applications"]
        config["applications"] += [_narrow(application, folder), _growing(application)]
    settings = {"prestart_worker_first_driver": False}  # else a process a CPU starts now, most for nothing
    ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False, _system_config=settings)
    try:
        serve.start(http_options=config.pop("http_options") | {"host": "127.0.0.1", "port": port})
        service = Shipped(f"http://127.0.0.1:{port}", key, registry, versions, redis, config)
        service.deploy()
        wait_until(lambda: len(service.replica_pids()) == 2)
        for application in config["applications"]:
            _wait_for_answer(service.url + application["route_prefix"].rstrip("/"))
        time.sleep(2)  # HAProxy learns of the second replica a moment after the first
        yield service
    finally:
        proxies = titled("haproxy", descendants(os.getpid()))
        ray.shutdown()
        for pid in left_of(proxies, 5):
            os.kill(pid, signal.SIGKILL)  # Ray does not always end it
        redis.kill()


def _config(folder: Path, redis: str) -> dict[str, Any]:
    config = yaml.safe_load((PROJECT / "serve_apps" / "config.yaml").read_text())
    application = config["applications"][0]
    places = {"registry": str(folder / "registry"), "api_keys": str(folder / "keys.json")}
    application["args"] |= places | {"event_store": redis, "requests_per_second": None}
    del application["deployments"][0]["autoscaling_config"]
    application["deployments"][0]["num_replicas"] = 2
    return config


def _narrow(application: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One replica that holds one request and lets one wait; events in SQLite."""
    narrow = copy.deepcopy(application) | {"name": "narrow", "route_prefix": "/narrow"}
    narrow["args"]["event_store"] = str(folder / "events.sqlite")
    narrow["deployments"][0] |= {"num_replicas": 1, "max_ongoing_requests": 1, "max_queued_requests": 1}
    return narrow


def _growing(application: dict[str, Any]) -> dict[str, Any]:
    """One replica, or two under load; events in Redis; searches in a thread, those that wait together."""
    growing = copy.deepcopy(application) | {"name": "growing", "route_prefix": "/growing"}
    growing["args"]["inline_ms"] = 0
    del growing["deployments"][0]["num_replicas"]
    growing["deployments"][0]["autoscaling_config"] = SCALING
    return growing


def _wait_for_answer(url: str) -> None:
    import httpx

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/readyz").is_success
        except httpx.TransportError:
            return False

    wait_until(answers)


def _serve_until_told(folder: Path) -> None:
    """For a test in another process: say where, and serve until standard input ends."""
    with shipped_service(folder, others=True) as service:
        print(json.dumps(Callers(service.url, service.key, serve_logs())._asdict()), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve_until_told(Path(sys.argv[1]))
