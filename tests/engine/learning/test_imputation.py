"""What features say of items, by sums over rows: as by the whole table."""

from __future__ import annotations

import pytest
import torch

from engine.learning import imputation
from engine.learning.imputation import fit_imputation
from engine.learning.items import predicted

N, F, C = 50, 4, 3


@pytest.mark.parametrize("n_features", [F, 0])
@pytest.mark.parametrize("known", ["most", "none"])
@pytest.mark.parametrize("weighted", [True, False])
def test_equals_the_whole_table(
    monkeypatch: pytest.MonkeyPatch, n_features: int, known: str, weighted: bool
) -> None:
    monkeypatch.setattr(imputation, "CHUNK", 16)
    generator = torch.Generator().manual_seed(0)
    x_NF = torch.randn(N, n_features, generator=generator)
    y_NC = x_NF @ torch.randn(n_features, C, generator=generator) + torch.randn(N, C, generator=generator)
    known_N = (torch.arange(N) % 5 > 0) & (known == "most")
    weight_N = torch.rand(N, generator=generator) + 0.1 if weighted else None
    said, leverage_N = fit_imputation(x_NF, y_NC, known_N, weight_N)
    ours = said.of(x_NF, y_NC, known_N, leverage_N)
    torch.testing.assert_close(ours, predicted(x_NF, y_NC, known_N, weight_N), rtol=1e-4, atol=1e-5)
