from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError, DataError
from engine.evaluation.protocol import gap_lengths, hold_out, split_users

LIKED = np.array([False, True])


def no_features(histories) -> np.ndarray:
    return np.zeros((histories.n_users, 0), np.float32)


def support(episodes, row: int) -> list[int]:
    return episodes.support_item[row][episodes.present[row]].tolist()


def items_of(user, item, row: int) -> list[int]:
    return sorted(item[user == row].tolist())


def test_split_follows_the_benchmarks_permutation() -> None:
    split = split_users(943, seed=0)
    order = np.random.RandomState(0).permutation(943)
    assert split.test.tolist() == order[:188].tolist()
    assert split.validation.tolist() == order[188:282].tolist()
    assert split.train.tolist() == order[282:].tolist()


@given(st.integers(0, 200), st.integers(0, 5), st.floats(0, 0.49), st.floats(0, 0.5))
def test_split_puts_every_user_in_one_group(n: int, seed: int, test: float, validation: float) -> None:
    split = split_users(n, seed, test, validation)
    everyone = np.concatenate([split.test, split.validation, split.train])
    assert sorted(everyone.tolist()) == list(range(n))


@pytest.mark.parametrize(("test", "validation"), [(0.6, 0.4), (-0.1, 0.1), (1.0, 0.0)])
def test_split_refuses_shares_that_leave_no_training_user(test: float, validation: float) -> None:
    with pytest.raises(ConfigError, match="no user to train on"):
        split_users(10, 0, test, validation)


def test_support_is_the_beginning_and_query_the_same_for_every_number_of_shots(make_histories) -> None:
    histories = make_histories([[4, 2, 7, 1, 5, 3, 0]], [[1, 0, 1, 1, 0, 1, 1]])
    held = hold_out(histories, np.array([0]), no_features(histories), LIKED, shots=(0, 1, 3), gap=3)
    assert [support(e, 0) for e in held.episodes.values()] == [[], [4], [4, 2, 7]]
    for episodes in held.episodes.values():
        assert items_of(episodes.query_user, episodes.query_item, 0) == [0, 1, 3]  # 5 was disliked
        assert items_of(episodes.barred_user, episodes.barred_item, 0) == [2, 4, 7]
    assert held.episodes[3].support_age[0].tolist() == [2, 1, 0]


def test_outcomes_hold_liked_and_disliked_items_once_by_their_last_event(make_histories) -> None:
    histories = make_histories([[0, 1, 5, 6, 5, 1, 7]], [[1, 1, 1, 0, 0, 1, 1]])
    outcomes = hold_out(
        histories, np.array([0]), no_features(histories), LIKED, (0,), gap=2, min_events=3
    ).outcomes
    assert outcomes.item.tolist() == [5, 6, 7]  # item 1 was shown before the gap's end
    assert outcomes.wanted.tolist() == [True, False, True]
    assert outcomes.signal.tolist() == [0, 0, 1]


def test_users_who_are_too_short_or_have_nothing_to_ask_are_dropped(make_histories) -> None:
    long = list(range(26))
    histories = make_histories(
        [long, long[:25], long, long], [[1] * 26, [1] * 25, [1] * 20 + [0] * 6, [1] * 26]
    )
    users = np.array([3, 2, 1, 0])
    held = hold_out(histories, users, no_features(histories), LIKED)
    assert held.users.tolist() == [3, 0]
    assert {len(e) for e in held.episodes.values()} == {2}


def test_without_a_gap_short_histories_keep_half_as_their_query(make_histories) -> None:
    histories = make_histories([[0, 1, 2], [5], list(range(100))])
    held = hold_out(histories, np.arange(3), no_features(histories), LIKED, shots=(0, 5), gap=0)
    assert held.users.tolist() == [0, 2]
    episodes = held.episodes[5]
    assert support(episodes, 0) == [0]
    assert items_of(episodes.query_user, episodes.query_item, 0) == [1, 2]
    assert support(episodes, 1) == [0, 1, 2, 3, 4]
    assert items_of(episodes.query_user, episodes.query_item, 1) == list(range(5, 100))
    assert gap_lengths(histories.lengths, 0, 5).tolist() == [1, 0, 5]


def test_random_order_depends_on_seed_and_user_alone(make_histories) -> None:
    histories = make_histories([list(range(40)), list(range(40))])
    x = no_features(histories)

    def order(users: list[int], seed: int) -> list[list[int]]:
        episodes = hold_out(histories, np.array(users), x, LIKED, (20,), "random", seed=seed).episodes[20]
        return [support(episodes, row) for row in range(len(users))]

    first, second = order([0, 1], seed=0)
    assert [second, first] == order([1, 0], seed=0)
    assert first not in (second, order([0], seed=1)[0], list(range(20)))


def test_features_follow_the_kept_users(make_histories) -> None:
    histories = make_histories([[0], [0, 1], [0, 1]])
    x = np.array([[1.0], [2.0], [3.0]], np.float32)
    episodes = hold_out(histories, np.array([2, 0, 1]), x, LIKED, (0, 1), gap=0).episodes
    assert episodes[0].user_x[:, 0].tolist() == [3.0, 2.0]


@pytest.mark.parametrize(
    "wrong",
    [{"shots": ()}, {"shots": (-1,)}, {"shots": (0, 6), "gap": 5}, {"gap": -1}, {"order": "sideways"}],
)
def test_rules_that_make_no_sense_are_refused(make_histories, wrong: dict) -> None:
    histories = make_histories([list(range(30))])
    with pytest.raises(ConfigError):
        hold_out(histories, np.array([0]), no_features(histories), LIKED, **wrong)


def test_nobody_left_is_an_error_that_says_why(make_histories) -> None:
    histories = make_histories([[0, 1]])
    with pytest.raises(DataError, match="none of 1 held-out users has 26 events"):
        hold_out(histories, np.array([0]), no_features(histories), LIKED)
