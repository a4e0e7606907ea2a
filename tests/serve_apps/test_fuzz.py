"""Requests made up from the OpenAPI document, right and wrong ones: never a server error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from engine import Recommender
from serve_apps.event_store import open_store
from serve_apps.ingress import create_app
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models
from serve_apps.service import Service


@pytest.fixture(scope="module")
def interface(artifacts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The document of an application that has all there is: models, registry, event store."""
    folder = tmp_path_factory.mktemp("fuzz")
    registry = ModelRegistry(folder / "registry")
    versions = [registry.add(Path(artifact)) for artifact in artifacts]
    registry.promote(versions[0])
    models = Models(Recommender.load, registry=registry)
    models.start()
    service = Service(models, open_store(str(folder / "events.sqlite")))
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(service))


schema = schemathesis.pytest.from_fixture("interface")


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_makes_the_server_fail(case: Any) -> None:
    case.call_and_validate(checks=[checks.not_a_server_error])
