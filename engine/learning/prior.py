"""Where every user starts: w ~ N(w0(u), A0^-1).

Knows nothing of support events.

Shapes: B users, N catalogue, F user features, D embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class UserPrior(nn.Module):
    """``w0 = G x_u`` and ``A0 = diag(exp(l + level)) + omega / N phi^T phi``.

    The first term of A0 keeps a user near w0. The second says that most of what is unseen is
    unwanted: it is the weight that implicit ALS gives to unobserved items (Hu, Koren & Volinsky
    2008, eq. 3), here learned. There is no mean besides: what all users want is the base measure. ``x_mean``
    are the features of a user of whom nothing is told.
    """

    x_mean_F: Tensor

    def __init__(self, dim: int, n_features: int, precision: float, unseen: float) -> None:
        super().__init__()
        self.register_buffer("x_mean_F", torch.zeros(n_features))
        self.from_features_FD = nn.Parameter(torch.zeros(n_features, dim))
        self.level = nn.Parameter(torch.zeros(()))
        self.log_precision_D = nn.Parameter(torch.full((dim,), math.log(precision)))
        self.log_unseen = nn.Parameter(torch.tensor(math.log(unseen)))

    def mean(self, user_x_BF: Tensor) -> Tensor:
        """w0, (B, D)."""
        return user_x_BF @ self.from_features_FD

    def precision(self, phi_ND: Tensor) -> Tensor:
        """A0, (D, D)."""
        unseen_DD = self.log_unseen.exp() / len(phi_ND) * gram(phi_ND)
        return torch.diag((self.log_precision_D + self.level).exp()) + unseen_DD

    def precision_of(self, mean_gram_DD: Tensor) -> Tensor:
        """A0 where ``phi^T phi / N`` is known, (D, D)."""
        unseen_DD = self.log_unseen.exp() * mean_gram_DD
        return torch.diag((self.log_precision_D + self.level).exp()) + unseen_DD


def gram(phi_ND: Tensor) -> Tensor:
    """``phi^T phi``, (D, D), with half the work in its gradient, ``phi (slope + slope^T)``.

    Autograd would multiply phi by each of the two; here their sum reaches phi through one factor.
    """
    half_DD = phi_ND.detach().T @ phi_ND
    return half_DD + (half_DD - half_DD.detach()).T
