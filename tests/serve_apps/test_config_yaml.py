"""The shipped Serve configs: right by Ray's schema, and no key in them that Ray or KubeRay does not know."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from ray.scripts.scripts import start
from ray.serve.schema import ServeDeploySchema

import serve_apps.app
from serve_apps.app import DEPLOYMENT
from serve_apps.options import AppArgs

CONFIG = Path(__file__).parents[2] / "serve_apps" / "config.yaml"

Keys = dict[str, "Keys | None"]  # the keys there may be, and those below each; None: not looked into


def _keys(names: str, **below: Keys) -> Keys:
    return dict.fromkeys(names.split()) | below


_META = _keys("name namespace labels annotations")
_CONTAINER = _keys(
    "name image imagePullPolicy command args",
    env=_keys("name value", valueFrom=_keys("", secretKeyRef=_keys("name key optional"))),
    lifecycle=_keys("", preStop=_keys("", exec=_keys("command"))),
    ports=_keys("containerPort name protocol"),
    resources=_keys("", limits=_keys("cpu memory"), requests=_keys("cpu memory")),
    volumeMounts=_keys("name mountPath subPath readOnly"),
)
_VOLUME = _keys("name", persistentVolumeClaim=_keys("claimName readOnly"))
_GROUP = _keys(
    "",
    rayStartParams=_keys(" ".join(option.lstrip("-") for param in start.params for option in param.opts)),
    template=_keys("", metadata=_META, spec=_keys("", containers=_CONTAINER, volumes=_VOLUME)),
)
_HEAD = _GROUP | _keys("serviceType headService enableIngress")
_WORKERS = _GROUP | _keys("groupName replicas minReplicas maxReplicas numOfHosts idleTimeoutSeconds suspend")
_CLUSTER = _keys(
    "rayVersion enableInTreeAutoscaling headServiceAnnotations suspend managedBy",
    autoscalerOptions=_keys("idleTimeoutSeconds upscalingMode version"),
    headGroupSpec=_HEAD,
    workerGroupSpecs=_WORKERS,
)
_SERVICE = _keys(
    "serveConfigV2 serveService upgradeStrategy rayClusterDeletionDelaySeconds excludeHeadPodFromServeSvc",
    rayClusterConfig=_CLUSTER,
)
RAY_SERVICE = _keys("apiVersion kind", metadata=_META, spec=_SERVICE)
"""KubeRay's RayService, ray.io/v1; of pods and their containers what one may want here."""


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load(CONFIG.read_text())


@pytest.fixture
def kuberay() -> dict[str, Any]:
    return yaml.safe_load(CONFIG.with_name("kuberay.yaml").read_text())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models a field's type mentions: ``Optional[Union[Dict, AutoscalingConfig]]`` -> that config."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = (
        typing.get_args(annotation) if not isinstance(annotation, types.GenericAlias) else annotation.__args__
    )
    return [model for part in inner for model in _models_in(part)]


def unknown_keys(value: Any, models: list[type[BaseModel]], path: str = "") -> list[str]:
    """Paths of keys that none of ``models`` has a field for; free-form dictionaries are not looked into."""
    if isinstance(value, list):
        return [p for at, part in enumerate(value) for p in unknown_keys(part, models, f"{path}[{at}]")]
    if not isinstance(value, dict) or not models:
        return []
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    unknown = [f"{path}.{key}" for key in value if key not in fields]
    for key in value.keys() & fields.keys():
        unknown += unknown_keys(value[key], _models_in(fields[key].annotation), f"{path}.{key}")
    return unknown


def unlisted_keys(value: Any, keys: Keys | None, path: str = "") -> list[str]:
    """Paths of keys that are not among ``keys``; a list stands for each of its parts."""
    if isinstance(value, list):
        return [p for at, part in enumerate(value) for p in unlisted_keys(part, keys, f"{path}[{at}]")]
    if not isinstance(value, dict) or keys is None:
        return []
    unlisted = [f"{path}.{key}" for key in value if key not in keys]
    for key in value.keys() & keys.keys():
        unlisted += unlisted_keys(value[key], keys[key], f"{path}.{key}")
    return unlisted


def _dictionaries_in(value: Any) -> list[dict[str, Any]]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    below = [found for part in parts for found in _dictionaries_in(part)]
    return [value, *below] if isinstance(value, dict) else below


def test_it_passes_rays_schema(config) -> None:
    schema = ServeDeploySchema.model_validate(config)
    assert schema.applications[0].import_path == "serve_apps.app:build_app"


def test_no_key_is_unknown_to_ray(config) -> None:
    assert unknown_keys(config, [ServeDeploySchema]) == []


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("http_options",),
        ("logging_config",),
        ("applications", 0),
        ("applications", 0, "deployments", 0),
        ("applications", 0, "deployments", 0, "autoscaling_config"),
        ("applications", 0, "deployments", 0, "backpressure_config"),
        ("applications", 0, "deployments", 0, "ray_actor_options"),
    ],
)
def test_a_typo_at_any_level_is_noticed(config, place: tuple[str | int, ...]) -> None:
    target: Any = config
    for step in place:
        target = target[step]
    target["max_replicsa"] = 3
    (path,) = unknown_keys(config, [ServeDeploySchema])
    assert path.endswith(".max_replicsa")


def test_it_fits_the_application(config) -> None:
    (application,) = config["applications"]
    module, _, builder = application["import_path"].partition(":")
    assert module == serve_apps.app.__name__
    assert callable(getattr(serve_apps.app, builder))
    assert AppArgs.parse(application["args"]).registry
    assert [deployment["name"] for deployment in application["deployments"]] == [DEPLOYMENT]


def test_kubernetes_runs_the_same(config, kuberay) -> None:
    """The Serve config inside says what ours says; pods have the environment of `cluster.yaml`'s machines."""
    inner = yaml.safe_load(kuberay["spec"]["serveConfigV2"])
    assert unknown_keys(inner, [ServeDeploySchema]) == []
    (ours,), (theirs,) = config["applications"], inner["applications"]
    assert theirs["deployments"] == ours["deployments"]
    assert theirs["import_path"] == ours["import_path"]
    assert AppArgs.parse(theirs["args"]).api_keys
    assert (inner["http_options"], inner["logging_config"]) == (
        config["http_options"],
        config["logging_config"],
    )
    exported = (CONFIG.parents[1] / "cluster.yaml").read_text()
    cluster = kuberay["spec"]["rayClusterConfig"]
    assert cluster["rayVersion"] == "2.60.0"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        for variable in container["env"]:
            value = variable.get("value", "")
            quoted = "$'{}'".format(value.replace("\n", "\\n")) if " " in value else value
            text = f"{variable['name']}={quoted}"
            assert text in exported or variable["name"] == "RAY_AUTH_TOKEN"
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in group["template"]["spec"]["volumes"]}


def test_no_key_is_unknown_to_kuberay(kuberay) -> None:
    assert unlisted_keys(kuberay, RAY_SERVICE) == []


def test_a_typo_anywhere_in_kuberay_is_noticed(kuberay) -> None:
    for part in _dictionaries_in(kuberay):
        for key in list(part):
            part[f"{key}s"] = part.pop(key)
            assert unlisted_keys(kuberay, RAY_SERVICE) != [], key
            part[key] = part.pop(f"{key}s")


def test_all_pods_have_the_same_environment_and_ask_for_a_token(kuberay) -> None:
    """A node that asks for none runs any code it is sent."""
    cluster = kuberay["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [container for group in groups for container in group["template"]["spec"]["containers"]]
    head, *workers = [{variable["name"] for variable in container["env"]} for container in containers]
    assert workers
    assert all(worker == head for worker in workers)
    assert head >= {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}


def test_what_is_shipped_is_closed_and_keeps_ids_out_of_logs(config) -> None:
    (application,) = config["applications"]
    args = AppArgs.parse(application["args"])
    assert args.api_keys
    assert args.requests_per_second
    assert args.cors_origins == ()
    assert config["logging_config"]["enable_access_log"] is False


def test_scaling_is_set_and_a_proxy_gives_up_after_the_replicas_grace(config) -> None:
    (deployment,) = config["applications"][0]["deployments"]
    scaling = deployment["autoscaling_config"]
    assert scaling["min_replicas"] < scaling["max_replicas"]
    assert scaling["target_ongoing_requests"] < deployment["max_ongoing_requests"]
    assert deployment["graceful_shutdown_timeout_s"] > config["http_options"]["request_timeout_s"]
