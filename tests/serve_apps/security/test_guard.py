"""Keys, scopes, rates and origins in front of the real paths, without a server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve_apps.ingress import create_app
from serve_apps.security.api_keys import ApiKeys, Scope, create_key
from serve_apps.security.rate_limit import RateLimit
from serve_apps.service import Service
from tests.serve_apps.conftest import Client

READ = [
    ("POST", "/v1/recommend"),
    ("POST", "/v1/events"),
    ("GET", "/v1/items"),
    ("GET", "/v1/model"),
    ("GET", "/v1/nothing"),
]
ADMIN = [
    ("GET", "/v1/users/u/events"),
    ("DELETE", "/v1/users/u"),
    ("DELETE", "/v1/users/a%0Ab"),
    ("GET", "/v1/deletions"),
    ("GET", "/v1/models"),
    ("PUT", "/v1/models/roll-out"),
    ("POST", "/v1/models/rollback"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def bearer(file: Path) -> dict[Scope, dict[str, str]]:
    texts = {scope: create_key(file, "shop", scope)[1] for scope in Scope}
    return {scope: {"authorization": f"Bearer {text}"} for scope, text in texts.items()}


@pytest.fixture
def guarded(service: Service, file: Path, bearer: Any) -> Callable[..., Client]:
    return lambda **options: Client(create_app(service, keys=ApiKeys(file), **options))


@pytest.mark.parametrize(("method", "path"), READ + ADMIN)
@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x", "Basic YTpi", "bearer fc_00000000_abc"])
def test_without_a_valid_key_is_401(guarded, method: str, path: str, header: str | None) -> None:
    answer = guarded()(method, path, headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_reading_does_not_reach_people_and_models(guarded, bearer, method: str, path: str) -> None:
    assert guarded()(method, path, headers=bearer[Scope.READ]).status_code == 403
    assert guarded()(method, path, headers=bearer[Scope.ADMIN]).status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path"), READ)
def test_either_scope_reaches_the_rest(guarded, bearer, method: str, path: str) -> None:
    for scope in Scope:
        assert guarded()(method, path, headers=bearer[scope]).status_code not in (401, 403)


def test_status_and_documentation_are_open(guarded) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert guarded()("GET", path).status_code == 200


def test_a_prefix_that_the_application_is_mounted_under_opens_nothing(guarded, bearer) -> None:
    client = Client(guarded().app, root_path="/api")
    for path in ("/api/v1/users/u/events", "/v1/users/u/events"):
        assert client("GET", path).status_code == 401
        assert client("GET", path, headers=bearer[Scope.READ]).status_code == 403
        assert client("GET", path, headers=bearer[Scope.ADMIN]).status_code == 200
    assert client("GET", "/api/healthz").status_code == 200


def test_bodies_of_strangers_are_not_read(guarded) -> None:
    answer = guarded()("POST", "/v1/recommend", content=b" " * (10 << 20))
    assert answer.status_code == 401


def test_the_document_says_which_scope_each_path_asks_for(guarded, client) -> None:
    paths = guarded()("GET", "/openapi.json").json()["paths"]
    scopes = {
        (method.upper(), path): operation.get("description", "").rpartition("Scope of the key: ")[2]
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "security" in operation
    }
    assert scopes["POST", "/v1/recommend"] == "`read`."
    assert scopes["DELETE", "/v1/users/{user_id}"] == "`admin`."
    assert ("GET", "/healthz") not in scopes
    assert "401" in paths["/v1/recommend"]["post"]["responses"]
    assert "security" not in client("GET", "/openapi.json").json()["paths"]["/v1/recommend"]["post"]


def test_each_key_has_its_own_rate(guarded, bearer) -> None:
    now = [0.0]
    limited = guarded(rate=RateLimit(per_second=0.5, burst=3, clock=lambda: now[0]))

    def status(scope: Scope) -> int:
        return limited("GET", "/v1/model", headers=bearer[scope]).status_code

    assert [status(Scope.READ) for _ in range(4)] == [200, 200, 200, 429]
    assert status(Scope.ADMIN) == 200
    refused = limited("GET", "/v1/model", headers=bearer[Scope.READ])
    assert refused.headers["retry-after"] == "2"
    now[0] += 2
    assert [status(Scope.READ) for _ in range(2)] == [200, 429]
    assert limited("GET", "/readyz").status_code == 200


def test_the_deletion_record_names_the_key(guarded, bearer) -> None:
    answer = guarded()("DELETE", "/v1/users/u", headers=bearer[Scope.ADMIN])
    assert answer.json()["by"].startswith("shop (")


ORIGIN = {"origin": "https://shop.example"}
PREFLIGHT = ORIGIN | {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
}


def test_pages_of_other_origins_may_not_call_unless_listed(guarded, bearer) -> None:
    closed, opened = guarded(), guarded(cors_origins=["https://shop.example"])
    headers = bearer[Scope.READ] | ORIGIN
    assert "access-control-allow-origin" not in closed("GET", "/v1/model", headers=headers).headers
    answer = opened("GET", "/v1/model", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert closed("OPTIONS", "/v1/recommend", headers=PREFLIGHT).status_code == 401
    assert opened("OPTIONS", "/v1/recommend", headers=PREFLIGHT).status_code == 200
    other = PREFLIGHT | {"origin": "https://elsewhere.example"}
    assert "access-control-allow-origin" not in opened("OPTIONS", "/v1/recommend", headers=other).headers


def test_no_id_of_a_person_and_no_key_is_logged(guarded, bearer, caplog) -> None:
    client, who = guarded(), "somebody@example.org"
    with caplog.at_level(logging.DEBUG):
        headers = bearer[Scope.ADMIN]
        client("POST", "/v1/events", json=[{"user_id": who, "item_id": "1"}], headers=headers)
        client("POST", "/v1/recommend", json={"user_id": who, "user": {"fail": True}}, headers=headers)
        client("GET", f"/v1/users/{who}/events", headers=headers)
        client("DELETE", f"/v1/users/{who}", headers=headers)
        client("GET", f"/v1/users/{who}/events")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("serve_apps")]
    assert len(ours) >= 6
    assert not any("somebody" in text or "Bearer" in text for text in ours)
    assert not any("somebody" in str(record.exc_info) for record in caplog.records)
