"""The application builder: what it refuses, what it sets, and that importing it does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ray.serve._private.api import call_user_app_builder_with_args_if_necessary

from engine import Recommender
from engine.errors import ArtifactError, ConfigError
from serve_apps.app import DEPLOYMENT, bind_app, build_app
from serve_apps.options import AppArgs
from serve_apps.served_model import ServedModel


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ({"artifact": ""}, "artifact"),
        ({"artifact": "a", "artefact": "b"}, "artefact"),
        ({"artifact": "a", "num_replicas": 0}, "num_replicas"),
        ({"artifact": "a", "max_body_bytes": "big"}, "max_body_bytes"),
    ],
)
def test_wrong_arguments_are_named(args: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=rf"wrong arguments: {named}: .*The arguments are artifact, "):
        build_app(args)


@pytest.mark.parametrize("args", [{}, {"artifact": "a", "registry": "b"}])
def test_an_artifact_or_a_registry_is_needed(args: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Give one of them"):
        build_app(args)


@pytest.mark.parametrize(
    "replicas",
    [{"num_replicas": 2, "max_replicas": 4}, {"min_replicas": 3, "max_replicas": 2}],
)
def test_replica_counts_must_fit_together(real_artifact: str, replicas: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="do not fit together"):
        build_app({"artifact": real_artifact, **replicas})


def test_a_missing_artifact_is_reported_before_anything_starts(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ArtifactError, match="no artifact here") as caught:
            build_app({"artifact": str(folder)})
        assert caught.value.where == str(folder)


def test_serve_calls_the_builder_with_a_plain_dictionary(real_artifact: str) -> None:
    app = call_user_app_builder_with_args_if_necessary(build_app, {"artifact": real_artifact})
    assert app._bound_deployment.name == DEPLOYMENT
    assert app._bound_deployment.num_replicas == 1


def test_scaling_arguments_reach_the_deployment(real_artifact: str) -> None:
    args = AppArgs(
        artifact=real_artifact, min_replicas=2, max_replicas=5, max_ongoing_requests=9, num_cpus=0.5
    )
    deployment = bind_app(args)._bound_deployment
    scaling = deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests) == (2, 5, 4)
    assert deployment.max_ongoing_requests == 9
    assert deployment.ray_actor_options["num_cpus"] == 0.5


def test_a_relative_artifact_becomes_absolute(real_artifact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(real_artifact).parent)
    app = build_app({"artifact": Path(real_artifact).name})
    assert app._bound_deployment.init_args[0].artifact == str(Path(real_artifact).resolve())


def test_files_become_absolute_and_a_redis_address_stays(
    real_artifact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = AppArgs(artifact=real_artifact, event_store="events.sqlite")
    assert args.located().event_store == str(tmp_path / "events.sqlite")
    args = AppArgs(artifact=real_artifact, event_store="redis://host/0")
    assert args.located().event_store == "redis://host/0"


def test_a_missing_file_of_keys_is_reported_before_anything_starts(
    real_artifact: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot read API keys") as caught:
        build_app({"artifact": real_artifact, "api_keys": str(tmp_path / "keys.json")})
    assert "firstclick keys create" in str(caught.value)


def test_importing_starts_nothing() -> None:
    code = "import ray, serve_apps.app, serve_apps.local; assert not ray.is_initialized()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_an_approximate_search_is_the_replicas_own(real_artifact: str) -> None:
    n_items = len(Recommender.load(real_artifact).item_ids)
    for above, approximate in ((n_items - 1, True), (n_items, False)):
        app = build_app({"artifact": real_artifact, "approximate_above": above})
        args, loader = app._bound_deployment.init_args
        model = ServedModel(loader(args.artifact))
        assert (model._recommender._scorer.approximate is not None) == approximate
        assert 0.9 < model.describe().recall <= 1.0
