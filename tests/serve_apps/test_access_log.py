"""One line a request, with an id that the caller gets, too."""

from __future__ import annotations

import json
import logging

import pytest


def lines(caplog: pytest.LogCaptureFixture) -> list[dict]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == "serve_apps.access_log"]


def test_a_request_leaves_one_line(client, caplog) -> None:
    with caplog.at_level(logging.INFO):
        answer = client.recommend(k=1)
    (line,) = lines(caplog)
    assert line.pop("ms") > 0
    assert line == {
        "request_id": answer.headers["x-request-id"],
        "method": "POST",
        "path": "/v1/recommend",
        "status": 200,
        "key": "nobody",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "pattern"),
    [
        ("GET", "/v1/users/a/b/events?x=secret", 200, "/v1/users/{user_id}/events"),
        ("DELETE", "/v1/users/a", 200, "/v1/users/{user_id}"),
        ("GET", "/v1/secret", 404, "-"),
        ("POST", "/v1/recommend", 415, "/v1/recommend"),
    ],
)
def test_the_pattern_stands_for_the_path(client, caplog, method, path, status, pattern) -> None:
    with caplog.at_level(logging.INFO):
        client(method, path)
    (line,) = lines(caplog)
    assert (line["status"], line["path"]) == (status, pattern)


@pytest.mark.parametrize(
    ("sent", "kept"), [("req-7", True), ("x" * 129, False), ("a b", False), ('"}', False)]
)
def test_a_plain_request_id_of_the_caller_is_kept(client, sent: str, kept: bool) -> None:
    answer = client("GET", "/healthz", headers={"x-request-id": sent})
    assert (answer.headers["x-request-id"] == sent) is kept


def test_an_unexpected_error_is_logged_as_500(client, caplog) -> None:
    with caplog.at_level(logging.INFO):
        client.recommend(user={"fail": True})
    assert [line["status"] for line in lines(caplog)] == [500]
