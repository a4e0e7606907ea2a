"""Query losses against values worked by hand, and what scores mean."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from engine.learning.objectives import Click, Rating, click_loss, ranking_loss, rating_loss

FIRST_BARRED = (torch.tensor([0]), torch.tensor([0]))  # the first user may not be shown item 0


def test_ranking_loss_by_hand() -> None:
    scores = torch.log(torch.tensor([[9.0, 1.0, 3.0], [1.0, 1.0, 2.0]]))
    loss = ranking_loss(scores, torch.tensor([0, 1, 1]), torch.tensor([2, 0, 2]), *FIRST_BARRED)
    expected = -(math.log(3 / 4) + math.log(1 / 4) + math.log(2 / 4))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_click_loss_is_the_cross_entropy_of_every_candidate() -> None:
    scores = torch.randn(2, 3)
    loss = click_loss(scores, torch.tensor([0, 1, 1]), torch.tensor([2, 0, 2]), *FIRST_BARRED)
    wanted = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    by_item = binary_cross_entropy(Click().prediction(scores), wanted, reduction="none")
    torch.testing.assert_close(loss, by_item.sum() - by_item[0, 0])


def test_rating_loss_skips_events_without_a_number() -> None:
    scores = torch.tensor([[1.0, 5.0], [3.0, 0.0]])
    user, item = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    value = torch.tensor([2.0, math.nan, 5.0])
    assert rating_loss(scores, user, item, value).item() == pytest.approx((1 + 4) / 2)


def test_a_rating_is_predicted_in_the_data_s_own_numbers() -> None:
    numbers = Rating(torch.tensor([10.0, 20.0]), torch.tensor(16.0), torch.tensor(4.0))
    assert numbers.prediction(torch.tensor([0.0, 1.0, -2.0])).tolist() == [16.0, 20.0, 8.0]
