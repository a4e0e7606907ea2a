"""The shipped cluster: right by Ray's schema and checks, and with what training and serving need."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

PROJECT = Path(__file__).parents[1]
SCHEMA = Path(ray.autoscaler.__file__).with_name("ray-schema.json")


@pytest.fixture
def cluster() -> dict[str, Any]:
    return yaml.safe_load((PROJECT / "cluster.yaml").read_text())


def test_it_passes_rays_schema_before_defaults_fill_gaps(cluster) -> None:
    jsonschema.validate(cluster, json.loads(SCHEMA.read_text()))


def test_it_passes_what_ray_up_checks(cluster) -> None:
    prepared = prepare_config(copy.deepcopy(cluster))
    validate_config(prepared)
    assert prepared["available_node_types"]["head"]["max_workers"] == 0
    assert prepared["max_workers"] == cluster["max_workers"]


def test_a_typo_would_be_noticed(cluster) -> None:
    cluster["available_node_types"]["training"]["max_worker"] = 2
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config(cluster))


def test_cpu_machines_serve_and_gpu_machines_train(cluster) -> None:
    groups = {name: group for name, group in cluster["available_node_types"].items() if name != "head"}
    with_gpu = {name for name, group in groups.items() if group["resources"].get("GPU", 0) > 0}
    assert with_gpu == {"training"}
    assert groups["training"]["min_workers"] == 0, "GPUs must cost nothing while nobody trains"
    assert groups["serving"]["min_workers"] >= 1, "an answer must not wait for a machine"
    assert cluster["available_node_types"][cluster["head_node_type"]]["resources"] == {"CPU": 0}


def test_every_group_can_grow_within_the_clusters_limit(cluster) -> None:
    groups = [group for name, group in cluster["available_node_types"].items() if name != "head"]
    assert all(group["min_workers"] < group["max_workers"] for group in groups)
    assert sum(group["max_workers"] for group in groups) == cluster["max_workers"]
    assert cluster["upscaling_speed"] > 0
    assert cluster["idle_timeout_minutes"] > 0


def test_all_that_installing_needs_is_copied_and_nothing_else(cluster) -> None:
    mounts = {Path(target): source for target, source in cluster["file_mounts"].items()}
    home = Path("/home") / cluster["auth"]["ssh_user"]
    sources = {source for source in mounts.values() if not source.startswith("~")}
    assert all(
        target == home / "firstclick" / mounts[target] for target in mounts if mounts[target] in sources
    )
    missing = [source for source in sources if not (PROJECT / source).exists()]
    assert not missing, "ray up stops at a mount that is not there"
    assert {"engine", "jobs", "serve_apps", "tune_configs", "pyproject.toml", "constraints.txt"} <= sources


def test_machines_are_set_up_alike_and_locked(cluster) -> None:
    assert any("pip install" in c and "-c constraints.txt -e ." in c for c in cluster["setup_commands"])
    assert cluster["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token" in commands[-1]
        assert "RAY_worker_niceness=0" in commands[-1]
        assert "ray start" in commands[-1]
    assert "--dashboard-host=127.0.0.1" in cluster["head_start_ray_commands"][-1]
