"""The shipped configuration behind HAProxy: the same answers, from both stores; full is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engine import Recommender
from tests.serve_apps.load import assert_some_are_refused
from tests.serve_apps.shipped import Callers
from tests.serve_apps.test_served import REQUEST, in_process

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", params=["", "/narrow"], ids=["Redis", "SQLite"])
def http(behind_haproxy: Callers, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {behind_haproxy.key}"}
    with httpx.Client(base_url=behind_haproxy.url + request.param, headers=headers, timeout=30) as client:
        yield client


def answer_of(http: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post("/v1/recommend", json=body)
    assert answer.status_code == 200
    return {name: value for name, value in answer.json().items() if name != "latency_ms"}


def test_answers_equal_those_in_process_whether_events_are_sent_or_kept(
    http: httpx.Client, real: Recommender
) -> None:
    expected = in_process(real, REQUEST)
    assert answer_of(http, REQUEST) == expected
    kept = [{"user_id": "reader", **event} for event in REQUEST["events"]]
    assert http.post("/v1/events", json=kept).status_code == 200
    body = {name: value for name, value in REQUEST.items() if name != "events"}
    for _ in range(4):
        assert answer_of(http, {"user_id": "reader", **body}) == expected


def test_a_deleted_person_is_a_stranger(http: httpx.Client, real: Recommender) -> None:
    assert http.post("/v1/events", json=[{"user_id": "goer", "item_id": "103"}]).status_code == 200
    assert answer_of(http, {"user_id": "goer"})["shots"] == 1
    assert http.delete("/v1/users/goer").json()["events"] == 1
    for _ in range(4):
        assert answer_of(http, {"user_id": "goer"}) == in_process(real, {})
    assert http.get("/v1/users/goer/events").json()["events"] == []


def test_more_than_can_be_held_is_told_to_come_back(behind_haproxy: Callers) -> None:
    assert_some_are_refused(f"{behind_haproxy.url}/narrow", behind_haproxy.key)
