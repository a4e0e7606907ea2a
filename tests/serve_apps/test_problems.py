"""Bad requests: each gives one clear 4xx problem that names what is wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest

from serve_apps.bodies import LIMIT_BYTES, BodyLimit, within

JSON = {"content-type": "application/json"}


def assert_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert "Traceback" not in answer.text
    return problem


EVENT = {"item_id": "1"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"k": 0}, "#/k"),
        ({"k": 1001}, "#/k"),
        ({"k": "5"}, "#/k"),
        ({"k": True}, "#/k"),
        ({"k": 2.5}, "#/k"),
        ({"evnts": []}, "#/evnts"),
        ({"events": {}}, "#/events"),
        ({"events": None}, "#/events"),
        ({"events": [{}]}, "#/events/0/item_id"),
        ({"events": [EVENT, {"item_id": ""}]}, "#/events/1/item_id"),
        ({"events": [{"item_id": True}]}, "#/events/0/item_id"),
        ({"events": [{"item_id": 1.5}]}, "#/events/0/item_id"),
        ({"events": [{"item_id": "x" * 257}]}, "#/events/0/item_id"),
        ({"events": [EVENT | {"value": "5"}]}, "#/events/0/value"),
        ({"events": [EVENT | {"event": 5}]}, "#/events/0/event"),
        ({"events": [EVENT | {"rating/stars": 5}]}, "#/events/0/rating~1stars"),
        ({"events": [EVENT | {"timestamp": 1735689600000}]}, "#/events/0/timestamp"),
        ({"events": [EVENT] * 1001}, "#/events"),
        ({"user": []}, "#/user"),
        ({"user": {"age": {"years": 3}}}, "#/user/age"),
        ({"user": {"tags": [["nested"]]}}, "#/user/tags"),
        ({"user": {"n": 10**30}}, "#/user/n"),
        ({"user": {"bio": "x" * 10_001}}, "#/user/bio"),
        ({"user": {str(i): 0 for i in range(257)}}, "#/user"),
        ({"candidates": "1"}, "#/candidates"),
        ({"candidates": [None]}, "#/candidates/0"),
        ({"candidates": [1] * 20_001}, "#/candidates"),
        ({"explain": "yes"}, "#/explain"),
        ([], "#"),
    ],
)
def test_invalid_fields_are_named(client, body: Any, pointer: str) -> None:
    problem = assert_problem(client("POST", "/v1/recommend", json=body), 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["detail"].startswith(pointer)


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ('"events": [{"item_id": "1", "value": 1e999}]', "#/events/0/value"),
        ('"events": [{"item_id": "1", "timestamp": -1e999}]', "#/events/0/timestamp"),
        ('"user": {"age": 1e999}', "#/user/age"),
        ('"user": {"vector": [0, 1e999]}', "#/user/vector"),
        ('"events": [{"item_id": "1", "value": 1' + "0" * 400 + "}]", "#/events/0/value"),
        ('"k": 1' + "0" * 400, "#/k"),
    ],
)
def test_numbers_beyond_a_double_are_refused(client, field: str, pointer: str) -> None:
    answer = client("POST", "/v1/recommend", content="{" + field + "}", headers=JSON)
    assert assert_problem(answer, 422)["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"k": 1}}',
        b"{'k': 1}",
        b'{"k": NaN}',
        b'{"k": -Infinity}',
        b'{"user": {"a": "\xff\xfe"}}',
        b'{"user": {"a": "\\ud800"}}',
        b'{"user": ' + b"[" * 200_000,
        b'{"user": ' + b'{"a":' * 100_000,
        b'{"k": ' + b"9" * 5000 + b"}",
    ],
    ids=["cut", "trailing", "quotes", "nan", "infinity", "utf8", "surrogate", "lists", "objects", "digits"],
)
def test_what_is_not_json_is_400(client, body: bytes) -> None:
    problem = assert_problem(client("POST", "/v1/recommend", content=body, headers=JSON), 400)
    assert problem["detail"].startswith("The body is not valid JSON: ")


def test_an_empty_body_is_422(client) -> None:
    assert_problem(client("POST", "/v1/recommend", headers=JSON), 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_not_declared_as_json_is_415(client, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    problem = assert_problem(client("POST", "/v1/recommend", content=b'{"k": 1}', headers=headers), 415)
    assert "application/json" in problem["detail"]


def test_many_faults_are_cut_short(client) -> None:
    problem = assert_problem(client.recommend(events=[{}] * 100), 422)
    assert len(problem["errors"]) == 20
    assert "(and 99 more)" in problem["detail"]


def test_what_the_engine_refuses_is_422_with_what_where_fix(client) -> None:
    problem = assert_problem(client.recommend(events=[{"item_id": "1", "event": "UNKNOWN"}]), 422)
    assert problem["detail"] == "unknown event 'UNKNOWN' (events[0].event). Known: VIEW, LIKE."


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 101}, {"limit": "many"}, {"query": "x" * 201}, {"q": 1}]
)
def test_invalid_query_parameters_are_named(client, params: dict[str, Any]) -> None:
    problem = assert_problem(client("GET", "/v1/items", params=params), 422)
    assert [error["parameter"] for error in problem["errors"]] == list(params)


def test_wrong_path_and_wrong_method(client) -> None:
    assert "/v1/recomend" in assert_problem(client("POST", "/v1/recomend", json={}), 404)["detail"]
    assert_problem(client("GET", "/v1/items/"), 404)
    answer = client("GET", "/v1/recommend")
    assert "GET" in assert_problem(answer, 405)["detail"]
    assert answer.headers["allow"] == "POST"


def test_an_announced_body_over_the_limit_is_413(client) -> None:
    answer = client("POST", "/v1/recommend", content=b" " * (10 << 20), headers=JSON)
    assert str(LIMIT_BYTES) in assert_problem(answer, 413)["detail"]


def test_a_body_of_exactly_the_limit_is_read(client) -> None:
    body = b'{"k": 1}'.ljust(LIMIT_BYTES)
    assert client("POST", "/v1/recommend", content=body, headers=JSON).status_code == 200


def test_an_unannounced_body_is_cut_off_at_the_limit(client) -> None:
    """The server must stop reading: the client would send forever."""
    taken = 0

    async def endless() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 65536, "more_body": True}

    sent = _call_raw(client.app, endless)
    assert sent[0]["status"] == 413
    assert taken == LIMIT_BYTES // 65536 + 1


def test_a_caller_who_leaves_while_sending_gets_no_answer(client) -> None:
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def leaves() -> dict[str, Any]:
        return next(messages)

    assert _call_raw(client.app, leaves) == []


def test_a_body_that_does_not_arrive_is_408(client) -> None:
    started = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def stalls() -> dict[str, Any]:
        if not started:
            await asyncio.sleep(60)
        return started.pop()

    began = time.monotonic()
    sent = _call_raw(BodyLimit(client.app, timeout_s=0.1), stalls)
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["detail"] == "The body did not arrive within 0.1 seconds."
    assert time.monotonic() - began < 5


def test_within_a_time_or_not_at_all() -> None:
    async def takes(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def everything() -> None:
        assert await within(5, takes(0)) == "done"
        with pytest.raises(TimeoutError):
            await within(0.01, takes(60))
        await asyncio.sleep(0)  # nothing of the cancelling is left
        waiting = asyncio.create_task(within(60, takes(60)))
        await asyncio.sleep(0)
        waiting.cancel("by somebody else")
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(everything())


def _call_raw(app: Any, receive: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/recommend",
        "raw_path": b"/v1/recommend",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }
    asyncio.run(app(scope, receive, send))
    return sent


def test_an_unexpected_error_is_500_with_the_id_of_its_log_entry(client, caplog) -> None:
    with caplog.at_level(logging.ERROR):
        body = json.dumps({"user": {"fail": True}})
        answer = client("POST", "/v1/recommend", content=body, headers=JSON | {"x-request-id": "req-7"})
    problem = assert_problem(answer, 500)
    assert problem["request_id"] == "req-7"
    assert "secret" not in answer.text
    assert "req-7" in caplog.text
    assert "a secret of the engine" in caplog.text
