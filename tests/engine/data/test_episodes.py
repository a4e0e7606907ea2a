"""What of a history an episode shows: elapsed time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from engine.data.episodes import (
    Draw,
    EpisodeRules,
    Episodes,
    collate,
    draw_episodes,
    pad_support,
    take_episodes,
)
from engine.data.histories import Histories

HOUR = 3600.0
NAN = float("nan")


def histories(*times: list[float]) -> Histories:
    """One user for each list of hours; items count up."""
    lengths = [len(t) for t in times]
    total = sum(lengths)
    return Histories(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.arange(total),
        np.zeros(total, np.int64),
        np.array([hour for t in times for hour in t]) * HOUR,
    )


def shown(past: Histories, *supports: list[int], order: str = "time") -> Episodes:
    none = np.empty(0, np.int64)
    draws = [Draw(np.array(s, dtype=np.int64), none, none, none) for s in supports]
    return collate(past, draws, np.zeros((len(draws), 0), np.float32), order)


def same(elapsed: torch.Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(elapsed, torch.tensor(expected, dtype=torch.float32), equal_nan=True)


def test_elapsed_is_hours_before_the_newest_shown_event() -> None:
    past = histories([0, 1, 30, 100], [5, 7])
    same(shown(past, [0, 1, 2], [4, 5]).support_elapsed, [[30, 29, 0], [2, 0, NAN]])
    same(shown(past, [0, 3], [4]).support_elapsed, [[100, 0], [0, NAN]])
    same(shown(past, [], []).support_elapsed, [[NAN], [NAN]])


def test_elapsed_of_undated_events_is_unknown() -> None:
    past = histories([NAN, 1, 4], [NAN, NAN])
    same(shown(past, [0, 1, 2], [3, 4]).support_elapsed, [[NAN, 3, 0], [NAN, NAN, NAN]])
    assert np.isnan(pad_support([np.array([1, 2])], [np.array([0, 0])]).elapsed).all()


def test_in_a_random_order_no_time_is_shown() -> None:
    past = histories(list(range(0, 200, 10)))
    x = np.zeros((1, 0), np.float32)
    known = {}
    for order in ("time", "random"):
        rules = EpisodeRules(np.array([True]), order, event_dropout=0.2)
        draws = [draw_episodes(past, np.array([0]), x, rules, (0, n)).support_elapsed for n in range(20)]
        known[order] = any(not draw.isnan().all() for draw in draws)
    assert known == {"time": True, "random": False}


def test_dropped_events_are_not_what_others_are_measured_against() -> None:
    """The newest event that is left stands at zero hours."""
    past = histories(list(range(0, 200, 10)))
    rules = EpisodeRules(np.array([True]), "time", event_dropout=0.5)
    for number in range(20):
        episodes = draw_episodes(past, np.array([0]), np.zeros((1, 0), np.float32), rules, (0, number))
        hours = past.timestamp[episodes.support_item[episodes.present].numpy()] / HOUR
        if len(hours):
            expected = torch.from_numpy(hours.max() - hours).float()
            torch.testing.assert_close(episodes.support_elapsed[episodes.present], expected)


def test_taken_users_keep_their_times() -> None:
    both = shown(histories([0, 1, 30], [5, 7, 8]), [0, 1, 2], [3, 4, 5])
    same(take_episodes(both, slice(1, 2)).support_elapsed, [[3, 1, 0]])


def test_noise_replaces_items_alone_and_by_user_alone() -> None:
    past, x = histories(*([list(range(30))] * 40)), np.zeros((40, 0), np.float32)
    clean = EpisodeRules(np.array([True]), "time", query_after=20)
    noisy = replace(clean, event_noise=0.25, n_items=5000)
    users = np.arange(40)
    before, after = (draw_episodes(past, users, x, rules, (0, 1)) for rules in (clean, noisy))
    assert torch.equal(before.present, after.present)
    assert torch.equal(before.query_item, after.query_item)
    swapped = before.support_item != after.support_item
    assert not swapped[~before.present].any()
    assert abs(swapped.sum() / before.present.sum() - 0.25) < 0.07
    alone = draw_episodes(past, users[7:8], x, noisy, (0, 1))
    shots = int(alone.shots[0])
    assert torch.equal(alone.support_item[0, :shots], after.support_item[7, :shots])
