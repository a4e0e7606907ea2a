"""Filter, explore, elicit and similar as callers see them, on a world whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import Recommender, RequestError
from engine.artifact import load_artifact
from engine.learning.descent import Descent

EVENTS = [{"item_id": "i2", "value": 5}, {"item_id": "i4", "value": 5}]


@pytest.fixture(scope="module")
def rec(checkerboard_artifact: Path) -> Recommender:
    return Recommender.load(checkerboard_artifact)


@pytest.fixture(scope="module")
def by_descent(checkerboard_artifact: Path) -> Recommender:
    artifact = load_artifact(checkerboard_artifact)
    dim = artifact.model.items.spectral_ND.shape[1]
    artifact.model.inner = Descent("gaussian", dim, 0, 0.1, 3, True, False, 0.0)
    return Recommender(artifact)


def kinds(item_ids: list[str]) -> list[int]:
    return [int(item_id[1:]) % 2 for item_id in item_ids]


def test_filter_and_candidates_are_joined_by_and(rec: Recommender) -> None:
    assert rec.filters.columns == {"colour": "category", "size": "number"}
    colour, size = (rec.catalogue[name].to_pylist() for name in ("colour", "size"))
    allowed = {i for i, c, s in zip(rec.item_ids, colour, size, strict=True) if c == "grey" and s >= 40}
    wanted = {"colour": "grey", "size": {"min": 40}}
    assert set(rec.recommend([], k=60, filter=wanted).item_ids) == allowed
    some = sorted(allowed)[:3]
    assert set(rec.recommend([], filter=wanted, candidates=[*some, "i0", "nowhere"]).item_ids) >= set(some)
    assert set(rec.recommend([], filter=wanted, candidates=some).item_ids) == set(some)
    assert set(rec.elicit(k=60, filter=wanted).item_ids) == allowed


def test_filters_keep_the_order_of_the_whole(rec: Recommender) -> None:
    all_of_them = rec.recommend(EVENTS, k=60).item_ids
    some = set(rec.recommend(EVENTS, k=60, filter={"colour": "grey"}).item_ids)
    assert rec.recommend(EVENTS, k=60, filter={"colour": "grey"}).item_ids == [
        i for i in all_of_them if i in some
    ]


def test_uncertainty_comes_when_asked_for_and_falls_with_events(rec: Recommender) -> None:
    assert all(item.uncertainty is None for item in rec.recommend(EVENTS))
    stranger, known = (
        {item.item_id: item.uncertainty for item in rec.recommend(events, k=60, uncertainty=True)}
        for events in ([], EVENTS)
    )
    assert all(0 < deviation < stranger[item_id] for item_id, deviation in known.items())


def test_thompson_shows_a_stranger_both_kinds_and_a_known_user_their_own(rec: Recommender) -> None:
    def firsts(events: list[dict[str, object]]) -> float:
        slates = [
            rec.recommend(events, k=1, explore={"method": "thompson", "seed": n, "strength": 0.3})
            for n in range(60)
        ]
        return float(np.mean([kinds(slate.item_ids)[0] for slate in slates]))

    assert 0.2 < firsts([]) < 0.8
    assert firsts([{"item_id": f"i{n}", "value": 5} for n in range(0, 40, 2)]) < 0.1


def test_exploring_with_strength_0_is_the_plain_slate(rec: Recommender) -> None:
    for method in ("thompson", "ucb"):
        explored = rec.recommend(EVENTS, explore={"method": method, "strength": 0})
        assert explored.item_ids == rec.recommend(EVENTS).item_ids
        assert all(item.uncertainty is not None for item in explored)


@pytest.mark.parametrize(
    ("explore", "message"),
    [
        ("greedy", "method is 'greedy'"),
        ({}, "method is None"),
        (5, "no way to explore"),
        ({"method": "ucb", "strenght": 1}, "unknown field 'strenght'"),
        ({"method": "ucb", "strength": -1}, "strength is -1"),
        ({"method": "ucb", "strength": float("nan")}, "strength is nan"),
        ({"method": "ucb", "strength": True}, "strength is True"),
        ({"method": "thompson", "seed": 0.5}, "seed is 0.5"),
        ({"method": "thompson", "seed": -1}, "seed is -1"),
    ],
)
def test_a_wrong_way_to_explore_is_named(rec: Recommender, explore: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        rec.recommend([], explore=explore)  # type: ignore[arg-type]


def test_two_questions_tell_kinds_of_people_apart(rec: Recommender) -> None:
    """Someone who is asked about both kinds, as these seeds draw, is served their own."""
    for kind in (0, 1):
        events: list[dict[str, object]] = []
        asked: list[str] = []
        for _ in range(2):
            item_id = rec.elicit(events, k=1, asked=asked, seed=len(asked)).item_ids[0]
            asked.append(item_id)
            events.append({"item_id": item_id, "value": 5 if kinds([item_id])[0] == kind else 1})
        assert set(kinds(rec.recommend(events, k=5).item_ids)) == {kind}


def test_questions_come_with_falling_gains_once_each(rec: Recommender) -> None:
    questions = rec.elicit(EVENTS, k=60, asked=["i6", "nowhere"])
    gains = [question.gain for question in questions]
    assert gains == sorted(gains, reverse=True)
    assert min(gains) >= 0
    assert len(set(questions.item_ids)) == 57
    assert not set(questions.item_ids) & {"i2", "i4", "i6"}
    assert questions.shots == 2
    assert all(0 < question.known < 1 for question in questions)


def test_questions_are_drawn_and_a_seed_repeats_them(rec: Recommender) -> None:
    asked = [tuple(rec.elicit(EVENTS, k=2, seed=seed).item_ids) for seed in range(20)]
    assert asked == [tuple(rec.elicit(EVENTS, k=2, seed=seed).item_ids) for seed in range(20)]
    assert len(set(asked)) > 10


def test_the_chance_to_know_an_item_is_the_share_of_users_who_met_it(rec: Recommender) -> None:
    known = {q.item_id: q.known for q in rec.elicit(k=60)}
    assert sum(known.values()) == pytest.approx(12, rel=1e-4)  # every user of the world has twelve items


def test_similar_items_are_of_the_same_kind(rec: Recommender) -> None:
    for item_id in ("i3", "i10"):
        found = rec.similar(item_id, 5)
        assert set(kinds([s.item_id for s in found])) == set(kinds([item_id]))
        assert item_id not in [s.item_id for s in found]
        assert [s.similarity for s in found] == sorted((s.similarity for s in found), reverse=True)
        assert all(-1 - 1e-5 <= s.similarity <= 1 + 1e-5 for s in found)


def test_items_without_events_have_and_are_neighbours(checkerboard_artifact: Path) -> None:
    artifact = load_artifact(checkerboard_artifact)
    artifact.model.items.warm_N[:2] = False
    colour = artifact.items["colour"].to_pylist()
    rec = Recommender(artifact)
    assert len(rec.similar("i0", 59)) == 59
    assert "i0" in [s.item_id for s in rec.similar("i2", 59)]
    assert colour[0] is not None


def test_similar_needs_an_item_of_the_catalogue(rec: Recommender) -> None:
    with pytest.raises(RequestError, match="no item 'nowhere'"):
        rec.similar("nowhere")
    with pytest.raises(RequestError, match="k = 0"):
        rec.similar("i1", 0)
    with pytest.raises(RequestError, match="k = 0"):
        rec.elicit(k=0)
    with pytest.raises(RequestError, match="seed = -1"):
        rec.elicit(seed=-1)


def test_descent_knows_no_uncertainty(by_descent: Recommender) -> None:
    for ask in (
        lambda: by_descent.recommend([], explore="ucb"),
        lambda: by_descent.recommend([], uncertainty=True),
        lambda: by_descent.elicit(),
    ):
        with pytest.raises(RequestError, match=r"gradient descent.*closed_form"):
            ask()
    slate = by_descent.recommend(EVENTS, k=60)
    np.testing.assert_allclose(
        [item.score for item in slate],
        np.sort(by_descent.score_batch([EVENTS])[0][[i not in ("i2", "i4") for i in by_descent.item_ids]])[
            ::-1
        ],
        atol=1e-5,
    )
    assert len(by_descent.similar("i1", 3)) == 3
