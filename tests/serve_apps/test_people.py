"""Events over HTTP: kept, counted in the next request, given out, deleted. Without a server."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from serve_apps.event_store import StoreError
from serve_apps.ingress import create_app
from serve_apps.people import History
from serve_apps.requests import RecommendRequest
from serve_apps.served_model import ServedModel
from serve_apps.service import Service
from tests.serve_apps.conftest import Client, CountingRecommender, models_of

EVENT = {"user_id": "u-1", "item_id": "3", "value": 5, "event_id": "e-1"}


def add(client: Client, *events: dict[str, Any]) -> httpx.Response:
    return client("POST", "/v1/events", json=list(events))


def slate(client: Client, **body: Any) -> dict[str, Any]:
    answer = client.recommend(**body).json()
    del answer["latency_ms"]
    return answer


def test_an_event_counts_in_the_next_request_like_one_that_is_sent_along(client) -> None:
    before = slate(client, user_id="u-1")
    assert add(client, EVENT).json() == {"events": [{"event_id": "e-1", "new": True}]}
    after = slate(client, user_id="u-1")
    assert (before["shots"], after["shots"]) == (0, 1)
    assert after == slate(client, events=[{"item_id": "3", "value": 5}])
    assert slate(client, user_id="u-2") == slate(client)


def test_stored_events_come_before_those_of_the_request_and_none_counts_twice(client) -> None:
    add(client, EVENT, {"user_id": "u-1", "item_id": 1})
    repeated = {"item_id": "3", "value": 5, "event_id": "e-1"}
    answer = slate(client, user_id="u-1", events=[repeated, {"item_id": "5"}])
    assert answer["shots"] == 3
    assert answer == slate(client, events=[{"item_id": "3", "value": 5}, {"item_id": "1"}, {"item_id": "5"}])


def test_sending_events_again_changes_nothing(client) -> None:
    other = EVENT | {"event_id": "e-2"}
    add(client, EVENT)
    answer = add(client, EVENT | {"value": 1}, other, other).json()
    assert [receipt["new"] for receipt in answer["events"]] == [False, True, False]
    events = client("GET", "/v1/users/u-1/events").json()["events"]
    assert [(event["event_id"], event["value"]) for event in events] == [("e-1", 5.0), ("e-2", 5.0)]


def test_an_event_without_an_id_gets_one(client) -> None:
    (receipt,) = add(client, {"user_id": 7, "item_id": 3, "event": "LIKE", "timestamp": 1e9}).json()["events"]
    assert client("GET", "/v1/users/7/events").json() == {
        "user_id": "7",
        "events": [
            {"event_id": receipt["event_id"], "item_id": "3", "event": "LIKE", "timestamp": 1e9},
        ],
    }


@pytest.mark.parametrize("suffix", ["", "/events"])
@pytest.mark.parametrize("user_id", ["u-1", "a/b", "ä %?#", "x/events"])
def test_a_deleted_person_is_a_stranger(client, user_id: str, suffix: str) -> None:
    place = f"/v1/users/{quote(user_id, safe='')}"
    if user_id == "x/events" and not suffix:
        pytest.skip("the shorter path means the user 'x': the longer one is exact")
    add(client, EVENT | {"user_id": user_id}, EVENT | {"user_id": "other"})
    answer = client("DELETE", place + suffix)
    assert answer.status_code == 200
    assert (answer.json()["events"], answer.json()["by"]) == (1, "nobody")
    assert client("GET", f"{place}/events").json() == {"user_id": user_id, "events": []}
    assert slate(client, user_id=user_id) == slate(client, user_id="somebody new")
    assert len(client("GET", "/v1/users/other/events").json()["events"]) == 1
    (record,) = client("GET", "/v1/deletions").json()["deletions"]
    assert record == answer.json()
    assert user_id not in str(record)


def test_all_or_none_is_kept(client) -> None:
    answer = add(client, EVENT, EVENT | {"event_id": "e-2", "event": "UNKNOWN"})
    assert answer.status_code == 422
    assert "events[1].event" in answer.json()["detail"]
    assert client("GET", "/v1/users/u-1/events").json()["events"] == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], "#"),
        ([EVENT] * 1001, "#"),
        ({}, "#"),
        ([{"item_id": "1"}], "#/0/user_id"),
        ([EVENT | {"user_id": ""}], "#/0/user_id"),
        ([EVENT, EVENT | {"user_id": "x" * 257}], "#/1/user_id"),
        ([EVENT | {"event_id": "x" * 257}], "#/0/event_id"),
        ([EVENT | {"item_id": None}], "#/0/item_id"),
        ([EVENT | {"timestamp": 1735689600000}], "#/0/timestamp"),
        ([EVENT | {"rating": 5}], "#/0/rating"),
    ],
)
def test_invalid_events_are_named(client, body: Any, pointer: str) -> None:
    answer = client("POST", "/v1/events", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_stored_events_that_another_model_understood_are_ignored_and_said_to_be(
    client, recommender, monkeypatch
) -> None:
    monkeypatch.setattr(CountingRecommender, "check", lambda self, events: None)
    add(client, EVENT, EVENT | {"event_id": "e-2", "event": "UNKNOWN"})
    monkeypatch.undo()
    answer = slate(client, user_id="u-1")
    assert answer["shots"] == 1
    assert answer["ignored_events"] == [{"item_id": "3", "reason": "unknown event 'UNKNOWN'"}]
    assert client.recommend(user_id="u-1", events=[{"item_id": "1", "event": "UNKNOWN"}]).status_code == 422


def test_without_a_store_people_are_not_there_and_a_user_id_is_no_error(recommender) -> None:
    client = Client(create_app(Service(models_of(recommender))))
    for answer in (
        add(client, EVENT),
        client("GET", "/v1/users/u-1/events"),
        client("DELETE", "/v1/users/u-1"),
        client("GET", "/v1/deletions"),
    ):
        assert answer.status_code == 404
        assert "event store" in answer.json()["detail"]
    assert slate(client, user_id="u-1") == slate(client)


class BrokenStore:
    """Fails at every call, as a store that is away does; its message holds what callers must not see."""

    async def _fail(self, *_: Any) -> None:
        raise StoreError("connection to 10.0.0.7 refused")

    append = history = delete = deletions = _fail


def test_a_store_that_fails_is_503_and_try_again(recommender) -> None:
    client = Client(create_app(Service(models_of(recommender), BrokenStore())))
    for answer in (add(client, EVENT), client.recommend(user_id="u-1")):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "10.0.0.7" not in answer.text
    assert client.recommend().status_code == 200


def test_a_served_model_takes_stored_and_sent_events_alike(recommender) -> None:
    model, request = ServedModel(recommender), RecommendRequest(k=3)
    one = model.recommend(request, History([{"item_id": "3"}], [{"item_id": "1"}]))
    other = model.recommend(request, History([], [{"item_id": "3"}, {"item_id": "1"}]))
    assert one.items == other.items


def test_many_callers_at_once_are_each_answered_right(service: Service) -> None:
    """Interleaved writes and reads of several people on one event loop."""
    app = create_app(service)

    async def one_person(http: httpx.AsyncClient, user_id: str) -> list[int]:
        shots = []
        for n in range(5):
            event = {"user_id": user_id, "item_id": "3", "event_id": str(n)}
            assert (await http.post("/v1/events", json=[event])).status_code == 200
            shots.append((await http.post("/v1/recommend", json={"user_id": user_id})).json()["shots"])
        return shots

    async def everybody() -> list[list[int]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            return await asyncio.gather(*(one_person(http, f"u-{n}") for n in range(8)))

    assert asyncio.run(everybody()) == [[1, 2, 3, 4, 5]] * 8
