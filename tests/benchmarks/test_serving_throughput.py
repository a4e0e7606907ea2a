"""Requests a second beside a no-op FastAPI deployment of the same Serve, in one run.

    pytest --run-benchmarks -s tests/benchmarks/test_serving_throughput.py

One replica each, HAProxy and the shipped settings. Each writes a line a request to one access log: the
no-op Serve's, ours its own; ours also checks API keys and rates. Callers post 20 events over a connection of
their own and wait for 20 items; they share the cores with the servers. Both are sent the same bodies, which
the no-op does not read. Tables are random, in the shape of trained ones, D = 64. Contenders take turns;
of what a round says of ours beside the no-op the median counts.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_apps.security.api_keys import Scope, create_key
from tests.benchmarks.callers import call, request
from tests.serve_apps.shipped import in_own_process

SIZES = {4_000: 0.75, 100_000: 0.45}  # items: the least share of the no-op's requests a second
CALLERS = (1, 8)
SHOTS, K, DIM = 20, 20, 64
ROUNDS, ROUND_S, WARM_UP_S = 15, 1.0, 2.0
KEYS = "keys.json"

Account = dict[str, dict[str, float]]  # "noop 1", "4000 8" ...: requests a second, p50 in ms


@pytest.fixture(scope="module")
def account() -> Account:
    found: Account = in_own_process("tests.benchmarks.test_serving_throughput")
    print("\n\n| items | callers | requests/s | of the no-op's | p50, ms | of no-op and compute |")
    print("|---:|---:|---:|---:|---:|---:|")
    for name, row in found.items():
        print(
            f"| {name.replace(' ', ' | ')} | {row['rate']:.0f} | {row['share']:.2f} | {row['p50']:.2f} "
            f"| {row['slowdown']:.2f} |"
        )
    return found


@pytest.mark.benchmark
@pytest.mark.timeout(900)
@pytest.mark.parametrize("callers", CALLERS)
@pytest.mark.parametrize("n_items", SIZES)
def test_serving_costs_little_more_than_serve(account: Account, n_items: int, callers: int) -> None:
    row = account[f"{n_items} {callers}"]
    assert row["share"] >= SIZES[n_items]
    assert row["slowdown"] <= 1.5


def bodies(n_items: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [{"events": _events(n_items, rng), "k": K} for _ in range(64)]


def _events(n_items: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = rng.choice(n_items, SHOTS, replace=False).tolist()
    return [{"item_id": f"i{row}", "value": float(rng.integers(1, 6))} for row in rows]


def load(port: int, requests: list[bytes], callers: int, seconds: float) -> list[float]:
    """Milliseconds that each request took."""
    answers = call(f"http://127.0.0.1:{port}", lambda n: requests[n % len(requests)], seconds, callers)
    assert set(answers.statuses) == {200}, answers.statuses
    return [1000 * took for _, took in answers.taken]


def measure(port: int, key: str, compute_ms: dict[str, float]) -> Account:
    sent = {"noop": [request("/noop/answer", key, body) for body in bodies(4_000)]}
    sent |= {str(n): [request(f"/n{n}/v1/recommend", key, body) for body in bodies(n)] for n in SIZES}
    rounds: dict[str, list[list[float]]] = {f"{n} {callers}": [] for n in sent for callers in CALLERS}
    for turn in range(-1, ROUNDS):
        for callers in CALLERS:
            for name, requests in sent.items():
                took = load(port, requests, callers, WARM_UP_S if turn < 0 else ROUND_S)
                if turn >= 0:
                    rounds[f"{name} {callers}"].append(took)
    rate = {name: np.array([len(took) for took in each]) / ROUND_S for name, each in rounds.items()}
    p50 = {name: np.array([np.median(took) for took in each]) for name, each in rounds.items()}
    account = {}
    for name in rounds:
        items, callers = name.split()
        slowdown = p50[name] / (p50[f"noop {callers}"] + compute_ms[items])
        share = rate[name] / rate[f"noop {callers}"]
        told = {"rate": rate[name], "share": share, "p50": p50[name], "slowdown": slowdown}
        account[name] = {what: float(np.median(values)) for what, values in told.items()}
    return account


def in_process_ms(folder: Path, n_items: int) -> float:
    from engine import Recommender

    rec, sent = Recommender.load(folder), [body["events"] for body in bodies(n_items)]
    took = []
    for turn in range(300):
        started = time.perf_counter()
        rec.recommend(sent[turn % len(sent)], k=K)
        took.append(1000 * (time.perf_counter() - started))
    return float(np.median(took))


def serve_all(port: int, artifacts: dict[int, Path]) -> None:
    """The no-op and one of ours for each catalogue, a replica each, in one Serve."""
    import ray
    from fastapi import FastAPI
    from ray import serve
    from ray.serve.schema import LoggingConfig

    from serve_apps.app import bind_app
    from serve_apps.options import AppArgs

    app = FastAPI()

    @serve.deployment(num_replicas=1, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0})
    @serve.ingress(app)
    class Noop:
        @app.post("/answer")
        async def answer(self) -> dict[str, str]:
            return {}

    ray.init("local", include_dashboard=False, log_to_driver=False)
    ours = LoggingConfig(log_level="INFO", encoding="JSON", enable_access_log=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config=ours)
    logs = ours.model_copy(update={"enable_access_log": True})
    serve.run(Noop.bind(), name="noop", route_prefix="/noop", logging_config=logs)
    for n_items, folder in artifacts.items():
        args = AppArgs(
            artifact=str(folder),
            event_store=str(folder.parent / "events.sqlite"),
            api_keys=str(folder.parent / KEYS),
            requests_per_second=1e6,
            burst=1_000_000,
            num_cpus=0,
        )
        serve.run(bind_app(args), name=f"n{n_items}", route_prefix=f"/n{n_items}", logging_config=ours)
    time.sleep(5)  # HAProxy learns of the last one


def main() -> None:
    from engine.artifact import save_artifact
    from tests.ports import free_port
    from tests.serve_apps.conftest import ABOUT
    from tests.synthetic import synthetic_artifact

    with tempfile.TemporaryDirectory() as name:
        folders = {n: Path(name) / str(n) for n in SIZES}
        for n_items, folder in folders.items():
            save_artifact(dataclasses.replace(synthetic_artifact(n_items, DIM), manifest=ABOUT), folder)
        compute_ms = {str(n): in_process_ms(folder, n) for n, folder in folders.items()}
        _, key = create_key(Path(name) / KEYS, "callers", Scope.READ)
        port = free_port()
        serve_all(port, folders)
        account = measure(port, key, compute_ms | {"noop": 0.0})
        print(f"compute, ms: {compute_ms}", file=sys.stderr)
        print(json.dumps(account))


if __name__ == "__main__":
    main()
