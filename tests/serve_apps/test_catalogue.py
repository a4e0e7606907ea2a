"""What the catalogue tells of items, and which lists others would make."""

from __future__ import annotations

import pyarrow as pa
import pytest

from serve_apps.item_features import ItemFeatures


def ids(answer) -> list[str]:
    return [item["item_id"] for item in answer.json()["items"]]


def test_the_most_popular_come_first_where_nothing_is_searched(client) -> None:
    assert ids(client("GET", "/v1/items", params={"limit": 3})) == ["2", "5", "1"]


def test_named_items_are_given_in_their_order_without_unknown_ones(client) -> None:
    assert ids(client("GET", "/v1/items", params={"id": ["six", "nope", "1"]})) == ["six", "1"]


def test_features_come_where_asked_for(client) -> None:
    plain, full = (
        client("GET", "/v1/items", params={"id": ["1", "six"], "features": wanted}).json()["items"]
        for wanted in (False, True)
    )
    assert plain[0] == {"item_id": "1", "title": "Toy Story (1995)"}
    assert full == [plain[0] | {"features": {"year": 1995}}, {"item_id": "six", "features": {}}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("drama", {"x": "drama"}),
        ("a" * 300, {"x": "a" * 199 + "…"}),
        (["a", "b"], {"x": ["a", "b"]}),
        ([0.5, 1.5], {}),
        (None, {}),
        (float("nan"), {}),
        (2.5, {"x": 2.5}),
        (True, {"x": True}),
    ],
)
def test_features_are_what_people_can_read(value, shown) -> None:
    table = pa.table({"item_id": ["1"], "title": ["One"], "x": [value]})
    assert ItemFeatures(table, shown_beside=("title",)).of(0) == shown


def test_a_catalogue_of_ids_alone_has_no_features() -> None:
    assert ItemFeatures(pa.table({"item_id": ["1"]}), ()).of(0) == {}


def test_signals_tell_what_may_be_said(client) -> None:
    signals = client("GET", "/v1/model").json()["signals"]
    assert signals[4] == {"name": "rating=5", "value": 5.0, "event": None, "wanted": True}
    assert signals[6] == {"name": "VIEW", "value": None, "event": "VIEW", "wanted": False}


def test_other_methods_see_the_same_events(client) -> None:
    events = [{"item_id": "2", "event": "LIKE"}]
    answer = client("POST", "/v1/compare", json={"events": events, "k": 2}).json()
    (popularity,) = answer["lists"]
    assert popularity["method"] == "popularity"
    assert [item["item_id"] for item in popularity["items"]] == ["5", "1"]
    assert client("POST", "/v1/compare", json={"k": 0}).status_code == 422


def test_item_knn_counts_what_was_wanted_alone(real_client) -> None:
    def lists(events: list[dict]) -> dict[str, list[str]]:
        answer = real_client("POST", "/v1/compare", json={"events": events}).json()
        return {one["method"]: [item["item_id"] for item in one["items"]] for one in answer["lists"]}

    liked, disliked = (lists([{"item_id": "103", "value": value}]) for value in (5, 1))
    assert set(liked) == {"popularity", "item-kNN"}
    assert liked["popularity"] == disliked["popularity"] == disliked["item-kNN"]
    assert liked["item-kNN"] != liked["popularity"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_the_header_tells_who_asks_where_the_time_went(real_client, kind: str) -> None:
    body, asked = {"events": [{"item_id": "103", "value": 5}]}, {"content-type": kind, "x-timing": "1"}
    assert "server-timing" not in real_client.recommend(**body).headers
    header = real_client("POST", "/v1/recommend", json=body, headers=asked).headers["server-timing"]
    phases = dict(entry.split(";dur=") for entry in header.split(", "))
    assert set(phases) >= {"parse", "adapt", "score"}
    assert all(float(duration) >= 0 for duration in phases.values())


def test_a_server_that_keeps_no_events_does_not_document_that_it_does(client, real_client) -> None:
    keeping, plain = (c("GET", "/openapi.json").json()["paths"] for c in (client, real_client))
    assert set(keeping) - set(plain) == {
        "/v1/events",
        "/v1/users/{user_id}",
        "/v1/users/{user_id}/events",
        "/v1/deletions",
    }
