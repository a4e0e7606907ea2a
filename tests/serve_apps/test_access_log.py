"""One line a request, with an id that the caller gets, too."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path

import httpx
import pytest

from serve_apps import access_log
from serve_apps.batches import Batches
from serve_apps.ingress import create_app
from serve_apps.service import Service
from tests.serve_apps.conftest import models_of


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


def test_lines_that_wait_are_written_when_the_application_ends(recommender, caplog) -> None:
    written: list[access_log.Line] = []
    app = create_app(Service(models_of(recommender)), lines=Batches(written.extend, most=100, pause_s=60))

    async def serve_once() -> None:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                await http.get("/healthz")
            assert written == []

    with caplog.at_level(logging.INFO):
        asyncio.run(serve_once())
    assert [(line.path, line.status) for line in written] == [("/healthz", 200)]


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
        lines, seen = access_log.own_file(serve_logger(tmp_path)), []
        for n in range(4):
            lines.add(LINE._replace(request_id=f"req-{n}"))
        await asyncio.sleep(0)
        seen.append(len(file.read_text().splitlines()))  # all that waited as the third came
        lines.add(LINE)
        await asyncio.sleep(0.1)
        return [*seen, len(file.read_text().splitlines())]

    assert asyncio.run(write()) == [4, 5]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["request_id"] for line in lines] == ["req-0", "req-1", "req-2", "req-3", "req-7"]
    assert (lines[-1]["at"], lines[-1]["ms"], lines[-1]["key"]) == (1700000000.123, 0.57, 'a "key"')


def test_where_serve_has_no_file_there_is_none_of_ours() -> None:
    assert access_log.own_file(logging.Logger("serve of this test")) is None
