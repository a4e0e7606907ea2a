"""Filters, exploration, questions and likeness over HTTP: the same as in this process."""

from __future__ import annotations

from typing import Any

import pytest

EVENTS = [{"item_id": "103", "value": 5}, {"item_id": "117", "value": 1}]


def pairs(answer: Any, field: str) -> list[tuple[str, float]]:
    return [(item["item_id"], item[field]) for item in answer.json()["items"]]


@pytest.mark.parametrize(
    "option",
    [
        {"filter": {"genre": "drama"}},
        {"filter": {"genre": ["drama", "war"]}, "candidates": ["101", "102", "104"]},
        {"explore": {"method": "ucb", "strength": 2}},
        {"explore": {"method": "thompson", "seed": 3}},
        {"uncertainty": True},
    ],
)
def test_each_option_gives_what_the_engine_gives(real_client, real, option: Any) -> None:
    answer = real_client.recommend(events=EVENTS, k=6, **option)
    slate = real.recommend(EVENTS, k=6, **option)
    assert pairs(answer, "score") == [(item.item_id, item.score) for item in slate]
    if "filter" not in option:
        assert pairs(answer, "uncertainty") == [(item.item_id, item.uncertainty) for item in slate]
        assert all(item["uncertainty"] > 0 for item in answer.json()["items"])
    else:
        assert all(int(item["item_id"]) % 2 == 0 for item in answer.json()["items"])


def test_questions_are_the_engines_and_what_was_asked_is_not_asked_again(real_client, real) -> None:
    answer = real_client("POST", "/v1/elicit", json={"events": EVENTS, "k": 3, "seed": 7})
    assert answer.status_code == 200
    questions = real.elicit(EVENTS, k=3, seed=7)
    assert pairs(answer, "gain") == [(q.item_id, q.gain) for q in questions]
    assert answer.json()["items"][0]["title"].startswith("Film ")
    assert answer.json()["shots"] == 2
    first = questions.item_ids[0]
    again = real_client("POST", "/v1/elicit", json={"events": EVENTS, "k": 3, "seed": 7, "asked": [first]})
    assert first not in [item["item_id"] for item in again.json()["items"]]


def test_similar_items_are_the_engines(real_client, real) -> None:
    answer = real_client("GET", "/v1/items/103/similar", params={"k": 4})
    assert pairs(answer, "similarity") == [(s.item_id, s.similarity) for s in real.similar("103", 4)]


@pytest.mark.parametrize("item_id", ["nope", "a/b", "103/similar"])
def test_likeness_to_an_unknown_item_is_404(real_client, item_id: str) -> None:
    answer = real_client("GET", f"/v1/items/{item_id}/similar")
    assert answer.status_code == 404
    assert "no such item" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("recommend", {"filter": {"genre": {}}}, "filter"),
        ("recommend", {"filter": {"genre": []}}, "filter"),
        ("recommend", {"filter": {"genre": None}}, "filter"),
        ("recommend", {"filter": {"genre": {"min": 1}}}, "is no condition on a category"),
        ("recommend", {"filter": {"gnere": "drama"}}, "Did you mean 'genre'?"),
        ("recommend", {"filter": {str(n): "x" for n in range(17)}}, "filter"),
        ("recommend", {"explore": {"method": "magic"}}, "#/explore/method"),
        ("recommend", {"explore": {"method": "ucb", "strength": -1}}, "#/explore/strength"),
        ("recommend", {"explore": {"method": "ucb", "seed": 2**63}}, "#/explore/seed"),
        ("elicit", {"k": 51}, "#/k"),
        ("elicit", {"asked": [None]}, "#/asked/0"),
        ("elicit", {"seed": -1}, "#/seed"),
        ("elicit", {"events": [{"item_id": "103", "value": 99}]}, "99"),
    ],
)
def test_what_cannot_be_understood_is_422(real_client, path: str, body: Any, says: str) -> None:
    answer = real_client("POST", f"/v1/{path}", json=body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
