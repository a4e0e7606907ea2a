"""What is learned: how well scores predict what the user did next, and what a score means to people.

Each objective is a query loss, the likelihood of a support event under the posterior, and the prediction
that a score stands for. Knows nothing of items, priors or adaptation.

Shapes: B users, N catalogue, Q query pairs, M events met after the support, R signals.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from engine.data.episodes import Episodes

Likelihood = Literal["gaussian", "bernoulli"]
Meaning = Literal["order", "value", "probability"]


class Objective(nn.Module):
    """The base of all three: scores are an order, nothing is predicted."""

    likelihood: ClassVar[Likelihood] = "gaussian"
    """Of a support event, given the user's vector."""
    predicts: ClassVar[Meaning] = "order"
    """What :meth:`prediction` gives."""

    def loss(self, scores_BN: Tensor, episodes: Episodes, weight_N: Tensor | None = None) -> Tensor:
        """Summed over the users' queries; divide by the number of query pairs over all workers.

        Args:
            weight_N: for how many items each stands as a negative, where not all are there.
        """
        raise NotImplementedError

    def offset(self, base_N: Tensor, item_BS: Tensor) -> Tensor:
        """What the items alone say of the support's targets, (B, S): adaptation explains the rest."""
        return torch.zeros_like(item_BS, dtype=base_N.dtype)

    def prediction(self, scores: Tensor) -> Tensor:
        """What the scores mean; for an order, themselves."""
        return scores


class Ranking(Objective):
    """What comes next, among all candidates."""

    def loss(self, scores_BN: Tensor, episodes: Episodes, weight_N: Tensor | None = None) -> Tensor:
        return ranking_loss(
            scores_BN,
            episodes.query_user,
            episodes.query_item,
            episodes.barred_user,
            episodes.barred_item,
            weight_N,
        )


class Click(Objective):
    """Whether each candidate will be wanted: a probability for each item."""

    likelihood = "bernoulli"
    predicts = "probability"

    def loss(self, scores_BN: Tensor, episodes: Episodes, weight_N: Tensor | None = None) -> Tensor:
        return click_loss(
            scores_BN,
            episodes.query_user,
            episodes.query_item,
            episodes.barred_user,
            episodes.barred_item,
            weight_N,
        )

    def prediction(self, scores: Tensor) -> Tensor:
        return scores.sigmoid()


class Rating(Objective):
    """Which number the user will give. Scores are in standard deviations of the data's numbers.

    A support event's target is a number too, so it is compared with what the item's mean leaves over.
    """

    predicts = "value"
    value_R: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, value_R: Tensor, centre: Tensor, spread: Tensor) -> None:
        """
        Args:
            value_R: the number each signal stands for, NaN where it is a named event.
            centre, spread: mean and standard deviation of the training events' numbers; scalars.
        """
        super().__init__()
        self.register_buffer("value_R", value_R)
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)

    def loss(self, scores_BN: Tensor, episodes: Episodes, weight_N: Tensor | None = None) -> Tensor:
        value_M = (self.value_R[episodes.met_signal] - self.centre) / self.spread
        return rating_loss(scores_BN, episodes.met_user, episodes.met_item, value_M)

    def offset(self, base_N: Tensor, item_BS: Tensor) -> Tensor:
        return base_N[item_BS]

    def prediction(self, scores: Tensor) -> Tensor:
        """In the data's own numbers, not yet clipped to their range, so that no order is lost."""
        return self.centre + self.spread * scores


def ranking_loss(
    scores_BN: Tensor,
    query_user: Tensor,
    query_item: Tensor,
    barred_user: Tensor,
    barred_item: Tensor,
    weight_N: Tensor | None = None,
) -> Tensor:
    """Softmax over the candidates, summed over all query pairs: ``-sum log p(item | user)``.

    Where candidates are sampled, ``log weight`` is added to the scores of negatives (the logQ correction), so
    that the sum in the softmax is unbiased; the loss and its gradient are so as the sample grows.

    Summed by events, not averaged by user: a user with a long query weighs more (the per-user mean
    costs a third of nDCG@10 on MovieLens-100k). Divide by the number of pairs over all workers.

    Source: multinomial likelihood of Liang et al. 2018 (Mult-VAE), eq. 2, over candidates only.
    """
    if weight_N is not None:
        scores_BN = scores_BN + _standing(weight_N, scores_BN, query_user, query_item).log().clamp(min=-1e9)
    candidates_BN = scores_BN.index_put((barred_user, barred_item), scores_BN.new_tensor(-1e9))
    log_p_BN = candidates_BN.log_softmax(dim=-1)
    return -log_p_BN[query_user, query_item].sum()


def _standing(weight_N: Tensor, scores_BN: Tensor, query_user: Tensor, query_item: Tensor) -> Tensor:
    """For how many candidates each item stands, (B, N): what a user wants for itself, being always there."""
    return weight_N.expand_as(scores_BN).index_put((query_user, query_item), weight_N.new_ones(()))


def click_loss(
    scores_BN: Tensor,
    query_user: Tensor,
    query_item: Tensor,
    barred_user: Tensor,
    barred_item: Tensor,
    weight_N: Tensor | None = None,
) -> Tensor:
    """``-sum [y log sigma(s) + (1 - y) log(1 - sigma(s))]`` over all candidates of all users.

    y is 1 for the query items. Every other candidate is a negative, met or not: what sampling negatives
    only estimates. Hence ``sigma(s)`` is the chance that a user will want the item later on, and over a
    catalogue these chances add up to the number of items a user will want.

    Where candidates are sampled, each counts by its weight, and the loss is unbiased.

    Source: the loss of MeLU (Lee et al. 2019, section 3) and its successors, all negatives counted.
    """
    unwanted_BN = softplus(scores_BN)
    if weight_N is not None:
        unwanted_BN = unwanted_BN * _standing(weight_N, scores_BN, query_user, query_item)
    barred = unwanted_BN[barred_user, barred_item].sum()
    return unwanted_BN.sum() - barred - scores_BN[query_user, query_item].sum()


def rating_loss(scores_BN: Tensor, met_user: Tensor, met_item: Tensor, value_M: Tensor) -> Tensor:
    """``1/2 sum (s - value)^2`` over what users met next and gave a number (others are NaN)."""
    told = value_M.isfinite()
    error = scores_BN[met_user[told], met_item[told]] - value_M[told]
    return 0.5 * error.square().sum()
