"""The shipped configuration behind HAProxy: the same answers, from both stores; full is said; it scales."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import Recommender
from serve_apps.client import Client
from tests.processes import descendants, titled
from tests.serve_apps.load import Account, assert_some_are_refused, steady_load
from tests.serve_apps.raw_http import Connection, post
from tests.serve_apps.shipped import Callers, wait_until
from tests.serve_apps.test_served import REQUEST, assert_many_at_once_are_answered_as_alone, in_process

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


def test_many_at_once_get_the_answers_of_one_alone(behind_haproxy: Callers, real: Recommender) -> None:
    assert_many_at_once_are_answered_as_alone(f"{behind_haproxy.url}/growing", behind_haproxy.key, real)


def test_a_deleted_person_is_a_stranger(http: httpx.Client, real: Recommender) -> None:
    assert http.post("/v1/events", json=[{"user_id": "goer", "item_id": "103"}]).status_code == 200
    assert answer_of(http, {"user_id": "goer"})["shots"] == 1
    assert http.delete("/v1/users/goer").json()["events"] == 1
    for _ in range(4):
        assert answer_of(http, {"user_id": "goer"}) == in_process(real, {})
    assert http.get("/v1/users/goer/events").json()["events"] == []


def test_more_than_can_be_held_is_told_to_come_back(behind_haproxy: Callers) -> None:
    assert_some_are_refused(f"{behind_haproxy.url}/narrow", behind_haproxy.key)


def test_a_head_that_stays_away_is_given_up(behind_haproxy: Callers) -> None:
    with Connection(behind_haproxy.url) as connection:
        connection.send(post(b"{}", behind_haproxy.key)[:40])
        assert connection.reply().status == 408


def test_no_log_holds_an_id_of_a_person(behind_haproxy: Callers, http: httpx.Client) -> None:
    """Neither HAProxy's nor Serve's; ours has the patterns of paths."""
    assert http.get("/v1/users/somebody@example.org/events").status_code == 200
    answer_of(http, {"user_id": "somebody@example.org"})
    logs = [path for path in Path(behind_haproxy.logs).rglob("*") if path.is_file()]
    ours = [path for path in logs if path.name.startswith("access_replica_")]

    def said(pattern: str) -> bool:
        return any(f'"path":"{pattern}"' in path.read_text() for path in ours)

    wait_until(lambda: said("/v1/users/{user_id}/events") and said("/v1/recommend"))
    assert [path.name for path in logs if "somebody" in path.read_text()] == []


def test_replicas_come_and_go_with_the_load(behind_haproxy: Callers) -> None:
    """Callers do not try again; both replicas answer."""
    url, key = f"{behind_haproxy.url}/growing", behind_haproxy.key

    def replicas() -> int:
        return len(titled("ServeReplica:growing", descendants(os.getpid())))

    def answering() -> int:
        return len([log for log in Path(behind_haproxy.logs).glob("access_*growing*") if log.stat().st_size])

    def assert_nothing_lost(account: Account) -> None:
        assert account.lost == []
        with Client(url, key) as client:
            for user_id, kept in account.acknowledged.items():
                assert [event.event_id for event in client.user_events(user_id).events] == kept

    assert replicas() == 1
    with steady_load(url, key, "many", callers=16, explain=True) as many:
        wait_until(lambda: replicas() == 2 and answering() == 2)
    with steady_load(url, key, "one", callers=1) as one:
        wait_until(lambda: replicas() == 1)
    assert_nothing_lost(many)
    assert_nothing_lost(one)
