"""The sparse product equals the dense one, whatever the columns look like."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import grad

from engine.learning.sparse_features import SparseFeatures

N, F, C = 30, 12, 5


def features(share: float) -> torch.Tensor:
    """The first two columns are full, the third is empty, the rest has ``share`` of non-zeros."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, F, generator=generator) * (torch.rand(N, F, generator=generator) < share)
    x[:, :2] = torch.randn(N, 2, generator=generator)
    x[:, 2] = 0
    x[4] = 0  # an item without any feature
    return x


@pytest.mark.parametrize("x", [features(0.1), features(1.0), features(0.0), torch.zeros(N, 0)])
@pytest.mark.parametrize("columns", [C, 1])
def test_equals_the_dense_product_in_value_and_gradient(x: torch.Tensor, columns: int) -> None:
    weight = torch.randn(x.shape[1], columns, requires_grad=True)
    ours, dense = SparseFeatures(x)(weight), x @ weight
    torch.testing.assert_close(ours, dense)
    direction = torch.randn_like(ours)
    torch.testing.assert_close(grad(ours, weight, direction), grad(dense, weight, direction))


def test_full_columns_are_multiplied_densely_and_the_rest_is_not() -> None:
    x = SparseFeatures(features(0.1))
    assert x.full.tolist() == [0, 1]
    assert not set(x.by_row.index_Z.tolist()) & {0, 1, 2}


def test_is_no_part_of_the_state() -> None:
    assert not SparseFeatures(features(0.1)).state_dict()
