"""The short way answers as the path itself does; errors are the path's own."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from serve_apps.event_store import StoreError
from serve_apps.paths.short_cut import ShortCut
from serve_apps.served_model import ServedModel
from tests.serve_apps.conftest import Client

SHORT, LONG = "application/json", "application/json; charset=utf-8"
EVENTS = [{"item_id": "103", "value": 5}, {"item_id": "nowhere", "value": 1.0}]
BODIES: list[dict[str, Any]] = [
    {},
    {"events": EVENTS, "k": 3},
    {"events": [{"item_id": 104, "event": "LIKE", "timestamp": 1e9, "event_id": "e"}], "explain": True},
    {"events": EVENTS, "user": {"age": 30, "height": 2}, "candidates": ["105", "x"], "uncertainty": True},
    {"filter": {"genre": "drama"}, "explore": {"method": "thompson", "seed": 3}},
]
WRONG: list[tuple[bytes, int]] = [
    (b'{"k": 0}', 422),
    (b'{"events": [{"item_id": "103", "event": "NEVER"}]}', 422),
    (b'{"events": [{"item_id": "103", "value": NaN}]}', 400),
    (b'{"events": [{"item_id": "103", "user_id": "u"}]}', 422),
    (b'{"k": 3', 400),
    (b"", 422),
]


def post(client: Client, content: bytes, kind: str) -> httpx.Response:
    return client("POST", "/v1/recommend", content=content, headers={"content-type": kind})


@pytest.mark.parametrize("body", BODIES)
def test_both_ways_give_the_same_answer(real_client: Client, body: dict[str, Any]) -> None:
    short, long = (
        real_client("POST", "/v1/recommend", json=body, headers={"content-type": kind})
        for kind in (SHORT, LONG)
    )
    answers = [short.json(), long.json()]
    for answer in answers:
        assert answer.pop("latency_ms") > 0
    assert short.status_code == long.status_code == 200
    assert answers[0] == answers[1]
    assert len(answers[0]["items"]) > 0
    assert set(short.headers) == set(long.headers)
    assert short.headers["content-type"] == long.headers["content-type"]


@pytest.mark.parametrize(("body", "status"), WRONG)
def test_both_ways_give_the_same_problem(real_client: Client, body: bytes, status: int) -> None:
    short, long = (post(real_client, body, kind) for kind in (SHORT, LONG))
    assert short.status_code == long.status_code == status
    assert short.json() == long.json()


@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_what_fails_is_not_tried_again(
    real_client: Client, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    asked = []

    def told(*args: Any) -> None:
        asked.append(args)
        raise StoreError("the store is away")

    monkeypatch.setattr(ServedModel, "told", told)
    assert post(real_client, b"{}", kind).status_code == 503
    assert len(asked) == 1


def test_what_is_plain_takes_the_short_way(
    real_client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The application behind it is not called; the log still knows the path."""
    caplog.set_level(logging.INFO, "serve_apps")
    layer: Any = real_client.app.layered
    while not isinstance(layer, ShortCut):
        layer = layer._app
    monkeypatch.setattr(layer, "_app", None)
    assert post(real_client, b'{"k": 2}', SHORT).status_code == 200
    assert '"path":"/v1/recommend"' in caplog.text
    assert post(real_client, b'{"k": 0}', SHORT).status_code == 500  # it would have gone on from there
