"""One line a request, with an id that the caller gets, too."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path

import pytest

from serve_apps import access_log
from serve_apps.ingress import create_app
from tests.serve_apps.conftest import Client


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


LINE = access_log.Line(1700000000.1234, "req-7", "GET", "/healthz", 200, 0.5678, 'a "key"')


def test_lines_go_where_they_are_told(service, caplog) -> None:
    written: list[access_log.Line] = []
    with caplog.at_level(logging.INFO):
        Client(create_app(service, write=written.append)).recommend(k=1)
    assert [(line.path, line.status) for line in written] == [("/v1/recommend", 200)]


def serve_logger(folder: Path) -> logging.Logger:
    """A logger as Serve sets one up in a replica."""
    serve = logging.Logger("serve of this test")
    file = RotatingFileHandler(folder / "replica_x.log", maxBytes=10_000)
    serve.addHandler(MemoryHandler(1000, target=file))
    file.close()
    return serve


def test_the_lines_of_a_replica_stand_beside_the_file_of_serve(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(access_log, "PAUSE_S", 0.02)
    monkeypatch.setattr(access_log, "MOST", 3)
    file = tmp_path / "access_replica_x.log"

    async def write() -> list[int]:
        write, seen = access_log.own_file(serve_logger(tmp_path)), []
        for n in range(4):
            write(LINE._replace(request_id=f"req-{n}"))
        await asyncio.sleep(0)
        seen.append(len(file.read_text().splitlines()))  # all that waited as the third came
        write(LINE)
        await asyncio.sleep(0.1)
        return [*seen, len(file.read_text().splitlines())]

    assert asyncio.run(write()) == [4, 5]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["request_id"] for line in lines] == ["req-0", "req-1", "req-2", "req-3", "req-7"]
    assert (lines[-1]["at"], lines[-1]["ms"], lines[-1]["key"]) == (1700000000.123, 0.57, 'a "key"')


def test_without_a_file_of_serve_the_lines_go_where_all_others_do(caplog) -> None:
    with caplog.at_level(logging.INFO):
        access_log.own_file(logging.Logger("serve of this test"))(LINE)
    assert [line["request_id"] for line in lines(caplog)] == ["req-7"]
