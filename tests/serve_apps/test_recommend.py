"""The paths and their answers, without a server."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from serve_apps import requests
from serve_apps.roll_out import RollOut

CLASSES = vars(requests) | {"RollOut": RollOut}


def test_no_events_gives_the_prior_ranking(client) -> None:
    answer = client.recommend(k=2).json()
    assert [item["item_id"] for item in answer["items"]] == ["1", "2"]
    assert answer["shots"] == 0
    assert answer["ignored_events"] == []
    assert answer["model_version"] == "abc123"
    assert "because" not in answer["items"][0]


def test_events_reach_the_recommender_and_reasons_come_back(client) -> None:
    events = [{"item_id": "3", "value": 5}, {"item_id": 1, "value": 2.5, "timestamp": 1e9}]
    answer = client.recommend(events=events, k=2, explain=True).json()
    first, second = answer["items"]
    assert first == {
        "item_id": "4",
        "title": "Men in Black: Star (1997)",
        "score": 5.03,
        "because": [{"item_id": "3", "title": "Amélie (2001)", "score_change": 5.0, "rank_without": 2}],
    }
    assert (second["item_id"], second["because"][0]["item_id"]) == ("2", "1")
    assert answer["shots"] == 2


def test_explained_item_without_reasons_says_so(client) -> None:
    (item,) = client.recommend(k=1, explain=True).json()["items"]
    assert item["because"] == []


def test_unknown_items_are_reported_not_refused(client) -> None:
    answer = client.recommend(events=[{"item_id": "nope", "event": "LIKE"}, {"item_id": "1", "value": 1}])
    assert answer.status_code == 200
    assert answer.json()["ignored_events"] == [{"item_id": "nope", "reason": "unknown item"}]
    assert answer.json()["shots"] == 1


@pytest.mark.parametrize(("exclude_seen", "expected"), [(True, ["2", "3"]), (False, ["2", "1", "3"])])
def test_candidates_and_exclude_seen(client, exclude_seen: bool, expected: list[str]) -> None:
    events = [{"item_id": "1", "value": 1}]
    answer = client.recommend(events=events, candidates=[1, "2", "3"], exclude_seen=exclude_seen)
    assert [item["item_id"] for item in answer.json()["items"]] == expected


def test_an_item_without_a_title_has_no_title_in_the_answer(client) -> None:
    (item,) = client.recommend(candidates=["six"]).json()["items"]
    assert "title" not in item


def test_in_process_answer_equals_the_answer_over_http(client, recommender) -> None:
    events = [{"item_id": "3", "value": 5.0}]
    slate = recommender.recommend(events, {"age": 31}, k=3)
    served = client.recommend(events=events, user={"age": 31}, k=3).json()["items"]
    assert [(i["item_id"], i["score"]) for i in served] == [(i.item_id, i.score) for i in slate.items]


def test_a_body_may_arrive_in_pieces(client) -> None:
    async def pieces():
        for piece in (b'{"k"', b": 1", b"}"):
            yield piece

    headers = {"content-type": "application/json; charset=utf-8"}
    answer = client("POST", "/v1/recommend", content=pieces(), headers=headers)
    assert len(answer.json()["items"]) == 1


def test_items_are_found_by_title(client) -> None:
    items = client("GET", "/v1/items", params={"query": "star"}).json()["items"]
    assert [item["item_id"] for item in items] == ["2", "4", "5"]
    assert items[0]["title"] == "Star Wars (1977)"


def test_model_describes_itself_with_numbers_json_can_hold(client) -> None:
    answer = client("GET", "/v1/model").json()
    assert answer["model_version"] == "abc123"
    assert answer["n_items"] == 6
    assert answer["manifest"]["quality"] == {"ndcg@10": 0.4, "auc": None}


def test_health_and_readiness(client) -> None:
    assert client("GET", "/healthz").json() == {"status": "ok"}
    assert client("GET", "/readyz").json() == {"status": "ready", "model_version": "abc123"}


def test_without_a_model_alive_but_not_ready(client_without_model) -> None:
    assert client_without_model("GET", "/healthz").status_code == 200
    for answer in (client_without_model("GET", "/readyz"), client_without_model.recommend()):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/problem+json"


def test_openapi_lists_the_paths_with_examples_and_problems(client) -> None:
    document = client("GET", "/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/recommend",
        "/v1/elicit",
        "/v1/compare",
        "/v1/events",
        "/v1/users/{user_id}",
        "/v1/users/{user_id}/events",
        "/v1/deletions",
        "/v1/items",
        "/v1/items/{item_id}/similar",
        "/v1/model",
        "/v1/models",
        "/v1/models/roll-out",
        "/v1/models/rollback",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    responses = document["paths"]["/v1/recommend"]["post"]["responses"]
    assert set(responses) == {"200", "400", "408", "413", "415", "422", "503"}
    assert set(responses["422"]["content"]) == {"application/problem+json"}
    schemas = document["components"]["schemas"]
    assert "Problem" in schemas
    assert "HTTPValidationError" not in schemas
    assert client("GET", "/docs").status_code == 200


def test_openapi_examples_are_valid(client) -> None:
    """By the classes of their schemas; each body has some."""
    document = client("GET", "/openapi.json").json()
    schemas = document["components"]["schemas"]
    examples = {name: schema["examples"] for name, schema in schemas.items() if schema.get("examples")}
    for name, of_it in examples.items():
        TypeAdapter(list[CLASSES[name]]).validate_json(json.dumps(of_it))
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    bodies = [operation["requestBody"]["content"] for operation in operations if "requestBody" in operation]
    schemas_of_bodies = [content["application/json"]["schema"] for content in bodies]
    references = [schema.get("items", schema)["$ref"] for schema in schemas_of_bodies]
    assert {reference.rpartition("/")[2] for reference in references} <= examples.keys()


def test_openapi_examples_of_recommend_are_answered(client) -> None:
    schemas = client("GET", "/openapi.json").json()["components"]["schemas"]
    examples = schemas["RecommendRequest"]["examples"]
    assert [client.recommend(**example).status_code for example in examples] == [200] * len(examples)
