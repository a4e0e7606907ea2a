"""The contract of the Recommender, on a world whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine import Recommender, RequestError
from engine.artifact import load_artifact
from engine.data.histories import Histories
from engine.evaluation.protocol import hold_out
from engine.ranking.slate import Slate

Event = dict[str, object]
EVENTS: list[Event] = [
    {"item_id": "i2", "value": 5},
    {"item_id": "i7", "value": 1},
    {"item_id": "i4", "value": 5},
]


@pytest.fixture(scope="module")
def rec(checkerboard_artifact: Path) -> Recommender:
    return Recommender.load(checkerboard_artifact)


def liked(*items: int) -> list[Event]:
    return [{"item_id": f"i{item}", "value": 5} for item in items]


def parities(slate: Slate) -> set[int]:
    return {int(item_id[1:]) % 2 for item_id in slate.item_ids}


@pytest.mark.parametrize("parity", [0, 1])
def test_two_kinds_of_people_are_told_apart_after_two_events(rec: Recommender, parity: int) -> None:
    for first in range(parity, 40, 6):
        assert parities(rec.recommend(liked(first, first + 10), k=10)) == {parity}


def test_strangers_get_both_kinds(rec: Recommender) -> None:
    assert parities(rec.recommend([], k=30)) == {0, 1}


def test_scores_have_one_entry_an_item(rec: Recommender) -> None:
    scores = rec.score(EVENTS)
    assert scores.shape == (len(rec.item_ids),)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_a_batch_equals_single_calls(rec: Recommender) -> None:
    users = [None, {"age": 30}, None, {"age": 70}]
    events: list[list[Event]] = [[], EVENTS, liked(1, 3, 5, 7, 9), EVENTS[:1]]
    batch = rec.score_batch(events, users)
    for row, e, u in zip(batch, events, users, strict=True):
        np.testing.assert_allclose(row, rec.score(e, u), atol=1e-5)
    assert rec.score_batch([]).shape == (0, len(rec.item_ids))


def test_a_batch_with_fewer_users_than_lists_of_events(rec: Recommender) -> None:
    with pytest.raises(RequestError, match="2 lists of events but 1 users"):
        rec.score_batch([[], []], [None])


def test_the_slate_is_the_scores_sorted(rec: Recommender) -> None:
    slate = rec.recommend(EVENTS, k=60, exclude_seen=False)
    scores = dict(zip(rec.item_ids, rec.score(EVENTS), strict=True))
    assert len(slate) == 60
    assert [item.score for item in slate] == [pytest.approx(scores[i]) for i in slate.item_ids]
    assert [item.score for item in slate] == sorted((item.score for item in slate), reverse=True)


def test_seen_items_are_left_out_unless_asked_for(rec: Recommender) -> None:
    seen = {"i2", "i7", "i4"}
    assert len(rec.recommend(EVENTS, k=1000)) == 57
    assert not seen & set(rec.recommend(EVENTS, k=1000).item_ids)
    assert seen <= set(rec.recommend(EVENTS, k=1000, exclude_seen=False).item_ids)


def test_candidates_limit_the_slate(rec: Recommender) -> None:
    slate = rec.recommend(EVENTS, candidates=["i9", "i8", "i2", "nowhere"])
    assert set(slate.item_ids) == {"i9", "i8"}
    assert (slate.unknown_candidates, slate.ignored) == (("nowhere",), ())
    assert rec.recommend(EVENTS, candidates=[]).item_ids == []


def test_unknown_items_are_ignored_counted_and_reported(rec: Recommender) -> None:
    slate = rec.recommend([*EVENTS, {"item_id": "nowhere", "value": 5}])
    assert slate.item_ids == rec.recommend(EVENTS).item_ids
    assert slate.shots == 3
    assert [i.item_id for i in slate.ignored] == ["nowhere"]


def test_unknown_features_of_the_user_are_reported(rec: Recommender) -> None:
    slate = rec.recommend(EVENTS, {"age": 30, "agee": 31})
    assert slate.unknown_features == ("agee",)


def test_an_event_with_neither_value_nor_name_is_a_like(rec: Recommender) -> None:
    np.testing.assert_array_equal(rec.score([{"item_id": "i2"}]), rec.score(liked(2)))


def test_numbers_from_a_table_are_taken(rec: Recommender) -> None:
    row = {"item_id": "i2", "value": np.int64(5), "timestamp": np.float64(1.0)}
    np.testing.assert_array_equal(rec.score([row]), rec.score(liked(2)))


def test_dated_events_count_in_time_order(rec: Recommender) -> None:
    dated = [{**event, "timestamp": 100 + n} for n, event in enumerate(EVENTS)]
    np.testing.assert_array_equal(rec.score(dated[::-1]), rec.score(EVENTS))


@pytest.fixture(scope="module")
def fading(checkerboard_artifact: Path) -> Recommender:
    """As if training had learned that events fade from hour to hour."""
    artifact = load_artifact(checkerboard_artifact)
    with torch.no_grad():
        artifact.model.evidence.elapsed_H.copy_(-torch.arange(1.0, 17.0))
    return Recommender(artifact)


def dated(events: list[Event], *hours: float) -> list[Event]:
    return [{**e, "timestamp": 1e9 + 3600 * hour} for e, hour in zip(events, hours, strict=True)]


def test_only_time_between_events_counts(fading: Recommender) -> None:
    """The same events at once, without times, and shifted as a whole are one; spread out they are another."""
    at_once = fading.score(EVENTS)
    np.testing.assert_array_equal(fading.score(dated(EVENTS, 0, 0.2, 0.5)), at_once)
    spread = fading.score(dated(EVENTS, 0, 30, 500))
    np.testing.assert_array_equal(fading.score(dated(EVENTS, 7000, 7030, 7500)), spread)
    assert not np.allclose(spread, at_once, atol=1e-3)


def test_an_old_event_says_less_than_a_fresh_one(fading: Recommender) -> None:
    faded = fading.score(dated(EVENTS, 0, 0, 1e6))
    distance = [
        np.abs(fading.score(dated(EVENTS, 0, 0, gap)) - faded).max() for gap in (0, 10, 1000, 100_000)
    ]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < distance[0] / 5


def test_a_request_is_scored_as_a_held_out_user_with_the_same_events(
    fading: Recommender, checkerboard_artifact: Path
) -> None:
    model = load_artifact(checkerboard_artifact).model
    model.evidence.load_state_dict({**model.evidence.state_dict(), "elapsed_H": -torch.arange(1.0, 17.0)})
    rows = {item_id: row for row, item_id in enumerate(fading.item_ids)}
    history = Histories(
        np.array([0, 4]),
        np.array([rows[i] for i in ("i2", "i7", "i4", "i9")]),
        np.array([fading.signals.encode(value, None) for value in (5.0, 1.0, 5.0, 5.0)]),
        np.array([np.nan, 0.0, 30.0, 90.0]) * 3600,
    )
    relevant = fading.signals.relevant(None, None)
    user_x = model.prior.x_mean_F.numpy()[None]
    episodes = hold_out(history, np.array([0]), user_x, relevant, (3,), gap=3, min_events=4).episodes[3]
    with torch.inference_mode():
        held_out = model.predict(model.view(), episodes)[0].numpy()
    request = [EVENTS[0], {**EVENTS[1], "timestamp": 0.0}, {**EVENTS[2], "timestamp": 30 * 3600}]
    np.testing.assert_allclose(fading.score(request), held_out, atol=1e-5)
    assert not np.allclose(fading.score(EVENTS), held_out, atol=1e-3)


def test_without_the_newest_event_the_others_are_as_fresh_as_they_then_are(fading: Recommender) -> None:
    """Reasons are exact where time counts: leaving the newest out moves the others' elapsed time."""
    events = dated(EVENTS, 0, 3, 400)
    for item in fading.recommend(events, k=5, explain=True):
        for because in item.because:
            rest = [e for e in events if e["item_id"] != because.item_id]
            score = dict(zip(fading.item_ids, fading.score(rest), strict=True))[item.item_id]
            assert because.score_change == pytest.approx(item.score - score, abs=1e-4)


def test_leaving_an_event_out_is_what_a_refit_without_it_gives(rec: Recommender) -> None:
    """Each reason's score change and rank equal those of a second call without the event."""
    slate = rec.recommend(EVENTS, k=20, explain=True)
    seen = {"because": 0}
    for item in slate:
        for because in item.because:
            rest = [e for e in EVENTS if e["item_id"] != because.item_id]
            without = rec.recommend(rest, k=60)
            score = dict(zip(rec.item_ids, rec.score(rest), strict=True))[item.item_id]
            assert because.score_change == pytest.approx(item.score - score, abs=1e-4)
            assert because.rank_without == without.item_ids.index(item.item_id) + 1
            seen["because"] += 1
    assert seen["because"] == 20 * 3


def test_ranks_without_an_event_stay_among_the_candidates(rec: Recommender) -> None:
    """The item of a left-out event is a rival again only where it is a candidate."""
    chosen = ["i4", "i8", "i9", "i11"]
    slate = rec.recommend(EVENTS, explain=True, candidates=chosen)
    assert set(slate.item_ids) == {"i8", "i9", "i11"}
    for item in slate:
        for because in item.because:
            rest = [e for e in EVENTS if e["item_id"] != because.item_id]
            without = rec.recommend(rest, candidates=chosen)
            assert because.rank_without == without.item_ids.index(item.item_id) + 1


def test_long_histories_are_explained_by_their_latest_events(rec: Recommender) -> None:
    events = liked(*range(0, 40)) + liked(*range(20, 40))
    for item in rec.recommend(events, k=3, explain=True):
        for because in item.because:
            assert int(because.item_id[1:]) >= 10


def test_reasons_come_strongest_first_and_liked_items_speak_for_their_kind(rec: Recommender) -> None:
    for item in rec.recommend(EVENTS, explain=True):
        sizes = [abs(because.score_change) for because in item.because]
        assert sizes == sorted(sizes, reverse=True)
        assert item.because[0].score_change > 0
        assert item.because[0].item_id in {"i2", "i4"}


def test_nothing_to_explain_without_events(rec: Recommender) -> None:
    assert all(item.because == () for item in rec.recommend([], explain=True))


def test_repeated_events_are_evidence_twice(rec: Recommender) -> None:
    once, twice = rec.recommend(liked(2)), rec.recommend(liked(2, 2))
    assert twice.shots == 2
    assert not np.array_equal(rec.score(liked(2)), rec.score(liked(2, 2)))
    assert "i2" not in once.item_ids + twice.item_ids


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3"])
def test_k_must_be_a_positive_integer(rec: Recommender, k: object) -> None:
    with pytest.raises(RequestError, match="k = "):
        rec.recommend([], k=k)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("i1", r"not an event \(events\[1\]\)"),
        ({"value": 5}, r"item_id is None \(events\[1\]\)"),
        ({"item_id": True}, "item_id is True"),
        ({"item_id": "i1", "value": float("nan")}, "value is nan"),
        ({"item_id": "i1", "value": 10**400}, "value is 1000"),
        ({"item_id": "i1", "value": "5"}, "value is '5'"),
        ({"item_id": "i1", "event": "LIKE"}, "LIKE"),
        ({"item_id": "i1", "event": 5}, "event is 5"),
        ({"item_id": "i1", "rating": 5}, "unknown field 'rating'"),
        ({"item_id": "i1", "value": 5, "timestamp": "today"}, "timestamp is 'today'"),
        ({"item_id": "i1", "value": 5, "timestamp": 1735689600000}, "timestamp is 1735689600000.*seconds"),
    ],
)
def test_a_wrong_event_is_named_by_its_position(rec: Recommender, event: Event, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        rec.recommend([EVENTS[0], event])


@pytest.mark.parametrize("events", ["i1", {"item_id": "i1"}, 5, None])
def test_events_must_be_a_list(rec: Recommender, events: object) -> None:
    with pytest.raises(RequestError, match="events is not a list"):
        rec.recommend(events)  # type: ignore[arg-type]
