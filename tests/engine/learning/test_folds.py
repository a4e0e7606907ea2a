"""Folds of users: what is left out, and steps that keep to one fold."""

from __future__ import annotations

import numpy as np
import pytest

from engine.learning.folds import FOLDS, SHARE_LEFT, steps_of, without


@pytest.mark.parametrize(("n_users", "size"), [(103, 8), (103, 1), (3, 8)])
def test_a_pass_holds_every_user_once_in_steps_of_one_fold(n_users: int, size: int) -> None:
    rng = np.random.default_rng(0)
    steps = steps_of(rng.permutation(n_users), size, rng)
    assert sorted(np.concatenate(steps).tolist()) == list(range(n_users))
    assert all(len(set(step % FOLDS)) == 1 for step in steps)
    assert max(map(len, steps)) <= 1.5 * size


def test_steps_come_in_random_order_by_the_generator() -> None:
    def folds(seed: int) -> list[int]:
        rng = np.random.default_rng(seed)
        return [int(step[0]) % FOLDS for step in steps_of(rng.permutation(100), 5, rng)]

    assert folds(1) == folds(1)
    assert folds(1) != folds(2)
    assert folds(1) != sorted(folds(1))


def test_folds_part_the_users() -> None:
    out = [set(range(25)) - set(without(fold, 25).tolist()) for fold in range(FOLDS)]
    assert set.union(*out) == set(range(25))
    assert sum(map(len, out)) == 25
    assert len(without(0, 25)) == SHARE_LEFT * 25
