"""What features say of items' embeddings and base measure, where rows are spread over the workers.

The ridge regression of ``items.predicted`` by sums over rows: no table of what it says is kept, since each
row's follows from its features, its own value and its leverage. Knows nothing of the model.

Shapes: L rows of this worker, M any rows, F item features, C columns of what is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from engine.learning.exchange import summed
from engine.learning.items import PENALTIES

CHUNK = 65_536


class Imputation(NamedTuple):
    """A fitted ridge regression from features to values."""

    weight_FC: Tensor
    x_mean_F: Tensor
    y_mean_C: Tensor

    def of(self, x_MF: Tensor, y_MC: Tensor, known_M: Tensor, leverage_M: Tensor) -> Tensor:
        """What the features say, (M, C): for known rows, what the other rows' features say."""
        said_MC: Tensor = self.y_mean_C + (x_MF - self.x_mean_F) @ self.weight_FC
        spared_MC = y_MC - (y_MC - said_MC) / (1 - leverage_M).clamp(min=1e-6).unsqueeze(-1)
        return torch.where(known_M.unsqueeze(-1), spared_MC, said_MC)


def fit_imputation(
    x_LF: Tensor, y_LC: Tensor, known_L: Tensor, weight_L: Tensor | None = None
) -> tuple[Imputation, Tensor]:
    """The regression over all workers' known rows, and the leverage of this worker's rows, (L,).

    ``weight_L`` says how much each row counts; none: all alike.

    Source: as `engine.learning.items.predicted`, which it equals.
    """
    n_features, n_columns = x_LF.shape[1], y_LC.shape[1]
    n = float(summed(known_L.sum().double()))
    if not n:
        none = torch.zeros(n_features, n_columns), torch.zeros(n_features), torch.zeros(n_columns)
        return Imputation(*none), torch.zeros(len(x_LF))
    c_L1 = (torch.ones(len(x_LF)) if weight_L is None else weight_L).double().unsqueeze(
        -1
    ) * known_L.unsqueeze(-1)
    c_L1 = c_L1 * (n / summed(c_L1.sum()))
    x_mean_F, y_mean_C = (
        summed(torch.stack([(c * part).sum(dim=0) for part, c in _chunks(table, c_L1)]).sum(dim=0)) / n
        for table in (x_LF, y_LC)
    )
    gram_FF, right_FC = (
        torch.zeros(n_features, n_features).double(),
        torch.zeros(n_features, n_columns).double(),
    )
    for x_nF, y_nC, c_n1 in _known(x_LF, y_LC, c_L1, x_mean_F, y_mean_C):
        gram_FF += x_nF.T @ (c_n1 * x_nF)
        right_FC += x_nF.T @ (c_n1 * y_nC)
    value_F, vector_FF = torch.linalg.eigh(summed(gram_FF))
    right_FC = vector_FF.T @ summed(right_FC)
    values = [value_F.clamp(min=0) + penalty for penalty in PENALTIES]
    weights = [right_FC / value_F.unsqueeze(-1) for value_F in values]
    error_P = torch.zeros(len(PENALTIES)).double()
    for x_nF, y_nC, c_n1 in _known(x_LF, y_LC, c_L1, x_mean_F, y_mean_C):
        turned_nF = x_nF @ vector_FF
        for p, (value_F, weight_FC) in enumerate(zip(values, weights, strict=True)):
            left_n1 = (1 - _leverage(turned_nF, c_n1, value_F, n)).clamp(min=1e-6)
            error_P[p] += (c_n1 * ((y_nC - turned_nF @ weight_FC) / left_n1).square()).sum()
    best = int(summed(error_P).argmin())
    leverage = [
        _leverage((part.double() - x_mean_F) @ vector_FF, c, values[best], n).squeeze(1)
        for part, c in _chunks(x_LF, c_L1)
    ]
    fitted = Imputation((vector_FF @ weights[best]).float(), x_mean_F.float(), y_mean_C.float())
    return fitted, torch.cat(leverage).float()


def _chunks(table: Tensor, c_L1: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and their weights; at least one chunk, be it empty."""
    for first in range(0, max(len(table), 1), CHUNK):
        yield table[first : first + CHUNK], c_L1[first : first + CHUNK]


def _known(
    x_LF: Tensor, y_LC: Tensor, c_L1: Tensor, x_mean_F: Tensor, y_mean_C: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The known rows, centred, and their weights."""
    for (x_nF, c_n1), (y_nC, _) in zip(_chunks(x_LF, c_L1), _chunks(y_LC, c_L1), strict=True):
        known = c_n1.squeeze(1) > 0
        yield x_nF[known].double() - x_mean_F, y_nC[known].double() - y_mean_C, c_n1[known]


def _leverage(turned_nF: Tensor, c_n1: Tensor, value_F: Tensor, n: float) -> Tensor:
    return c_n1 * (1 / n + (turned_nF.square() / value_F).sum(dim=1, keepdim=True))
