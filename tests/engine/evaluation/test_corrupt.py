"""Noise in the support of held-out users."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from engine.data.histories import Histories
from engine.evaluation.corrupt import corrupted
from engine.evaluation.protocol import HeldOut, hold_out

N, USERS = 1000, 60


@pytest.fixture
def held(make_histories: Callable[..., Histories]) -> HeldOut:
    rng = np.random.default_rng(0)
    histories = make_histories([rng.permutation(N)[:30].tolist() for _ in range(USERS)])
    no_features = np.zeros((USERS, 0), np.float32)
    users, relevant = np.arange(USERS), np.array([False, True])
    return hold_out(histories, users, no_features, relevant, shots=(0, 5, 20), gap=20)


def test_so_many_events_are_replaced_and_nothing_else(held: HeldOut) -> None:
    noisy = corrupted(held, 0.2, N)
    for shots, episodes in noisy.episodes.items():
        clean = held.episodes[shots]
        changed = (episodes.support_item != clean.support_item) & clean.present
        if shots:
            assert changed.sum() == pytest.approx(0.2 * USERS * shots, rel=0.25)
        assert torch.equal(episodes.support_signal, clean.support_signal)
        assert torch.equal(episodes.query_item, clean.query_item)
        assert torch.equal(episodes.barred_item, clean.barred_item)


def test_an_event_is_replaced_alike_at_every_number_of_shots(held: HeldOut) -> None:
    noisy = corrupted(held, 0.2, N)
    assert torch.equal(noisy.episodes[5].support_item, noisy.episodes[20].support_item[:, :5])


def test_no_share_changes_nothing(held: HeldOut) -> None:
    for shots, episodes in corrupted(held, 0.0, N).episodes.items():
        assert torch.equal(episodes.support_item, held.episodes[shots].support_item)
