"""Requests made up from the OpenAPI document, right and wrong ones: never a server error.

Few by default; ``FIRSTCLICK_FUZZ_EXAMPLES=300`` for so many of each operation and kind, which takes minutes.
With ``-s`` it tells how many answers had which status.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from engine import Recommender
from serve_apps.event_store import open_store
from serve_apps.ingress import create_app
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models
from serve_apps.service import Service

EXAMPLES = int(os.environ.get("FIRSTCLICK_FUZZ_EXAMPLES", "5"))


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


@pytest.mark.timeout(300 + 10 * EXAMPLES)
def test_no_request_makes_the_server_fail(interface: Any) -> None:
    operations = [result.ok() for result in interface.get_all_operations()]
    assert len(operations) >= 15
    statuses: Counter[int] = Counter()
    for operation in operations:
        for mode in GenerationMode:
            statuses += _fuzz(operation, mode)
    print(f"\n{statuses.total()} requests to {len(operations)} operations: {dict(sorted(statuses.items()))}")
    assert statuses.keys() >= {200, 404, 422}, "both right and wrong requests were made"


def _fuzz(operation: Any, mode: GenerationMode) -> Counter[int]:
    statuses: Counter[int] = Counter()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        status = case.call().status_code
        assert status < 500, case.as_curl_command()
        statuses[status] += 1

    with suppress(Unsatisfiable, SkipTest):  # what has no parameters cannot be called wrongly
        send()
    return statuses
