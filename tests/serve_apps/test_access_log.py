"""One line a request, with an id that the caller gets, too."""

from __future__ import annotations

import json
import logging
import time
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path

import pytest

from serve_apps import access_log


def lines(caplog: pytest.LogCaptureFixture) -> list[dict]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == "serve_apps.access_log"]


def test_a_request_leaves_one_line(client, caplog) -> None:
    with caplog.at_level(logging.INFO):
        answer = client.recommend(k=1)
    (line,) = lines(caplog)
    assert line.pop("ms") > 0
    assert line.pop("at") == pytest.approx(time.time(), abs=60)
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


def test_the_lines_of_a_replica_stand_beside_the_file_of_serve(client, tmp_path: Path, monkeypatch) -> None:
    log = access_log._log
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.INFO)
    serve = logging.Logger("serve of this test")
    serve.addHandler(
        MemoryHandler(1000, target=RotatingFileHandler(tmp_path / "replica_x.log", maxBytes=10_000))
    )
    access_log.own_file(serve)
    answer = client.recommend(k=1)
    again = client("GET", "/healthz")
    log.handlers[0].close()
    serve.handlers[0].target.close()
    written = [json.loads(x) for x in (tmp_path / "access_replica_x.log").read_text().splitlines()]
    assert [line["request_id"] for line in written] == [a.headers["x-request-id"] for a in (answer, again)]


def test_without_a_file_of_serve_the_lines_go_where_all_others_do() -> None:
    access_log.own_file(logging.Logger("serve of this test"))
    assert access_log._log.propagate
    assert access_log._log.handlers == []
