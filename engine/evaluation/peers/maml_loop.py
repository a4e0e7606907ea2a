"""MAML as one would write it oneself: one user after the other, autograd through the inner steps.

A small network on an item embedding and the user's features, trained with sampled negatives. Slow and
plain on purpose: it is what meta-learning costs and gives without a framework. Knows nothing of tuning.

Shapes: U training users, B users of a batch, S examples of one user, N catalogue, D embedding, H hidden,
F user features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from engine.data.episodes import EpisodeRules, Episodes, draw_one
from engine.data.histories import Histories
from engine.evaluation.baselines.families import Family
from engine.evaluation.baselines.knowledge import Events, Knowledge, usable_support

NAME = "MAML loop"
GRID = {"inner_lr": (0.03, 0.3)}
DIM, HIDDEN, INNER_STEPS = 32, 64, 2
NEGATIVES = 4  # sampled for each liked event
USERS_PER_STEP, OUTER_LR, PASSES = 16, 3e-3, 10


class Layers(NamedTuple):
    """What the inner loop adapts: ``relu(item W + user V + bias) . out + offset``."""

    item_DH: Tensor
    user_FH: Tensor
    bias_H: Tensor
    out_H: Tensor
    offset: Tensor


class Examples(NamedTuple):
    """Items of one user and whether they are wanted."""

    item_S: Tensor  # int64
    label_S: Tensor  # float32, 0 or 1


@dataclass(frozen=True)
class MamlLoop:
    """A fitted prior: item embeddings, which all users share, and the layers each user starts from."""

    items_ND: Tensor
    layers: Layers
    inner_lr: float
    relevant: NDArray[np.bool_]  # by signal

    def score(self, episodes: Episodes, events: Events) -> NDArray[np.float32]:
        """Adapt to each user in turn, then score the catalogue, (B, N). No events: the prior's scores."""
        usable = usable_support(episodes, self.relevant, events)
        scores = np.empty((len(episodes), len(self.items_ND)), np.float32)
        for user, used in enumerate(torch.from_numpy(usable)):
            item, signal = episodes.support_item[user][used], episodes.support_signal[user][used]
            known = item.numpy()
            rng = np.random.default_rng(known)  # the same support draws the same negatives
            support = with_negatives(known, self.relevant[signal.numpy()], len(self.items_ND), rng)
            x_F = episodes.user_x[user]
            layers = adapt(self.layers, self.items_ND, x_F, support, self.inner_lr, second_order=False)
            with torch.no_grad():
                scores[user] = logits(layers, self.items_ND, x_F).numpy()
        return scores


def logits(layers: Layers, items_SD: Tensor, user_F: Tensor) -> Tensor:
    """Log-odds that the user wants each item, (S,)."""
    hidden = items_SD @ layers.item_DH + user_F @ layers.user_FH + layers.bias_H
    return torch.relu(hidden) @ layers.out_H + layers.offset


def adapt(
    layers: Layers,
    items_ND: Tensor,
    user_F: Tensor,
    support: Examples,
    inner_lr: float,
    second_order: bool = True,
) -> Layers:
    """``INNER_STEPS`` gradient steps on the support loss; no support, no step (Finn et al. 2017)."""
    items_SD = items_ND[support.item_S]
    for _ in range(INNER_STEPS if len(support.item_S) else 0):
        loss = bce(logits(layers, items_SD, user_F), support.label_S)
        gradient = torch.autograd.grad(loss, layers, create_graph=second_order)
        layers = Layers(*(w - inner_lr * g for w, g in zip(layers, gradient, strict=True)))
    return layers


def with_negatives(
    item: NDArray[np.int64], liked: NDArray[np.bool_], n_items: int, rng: np.random.Generator
) -> Examples:
    """The events' items with their labels, then ``NEGATIVES`` others for each liked one, labelled 0."""
    drawn = rng.integers(0, n_items, NEGATIVES * int(liked.sum()))
    others = drawn[~np.isin(drawn, item)]
    label = np.concatenate([liked, np.zeros(len(others))]).astype(np.float32)
    return Examples(torch.from_numpy(np.concatenate([item, others])), torch.from_numpy(label))


def fit_maml(
    histories: Histories,
    user_x: NDArray[np.float32],
    rules: EpisodeRules,
    knowledge: Knowledge,
    inner_lr: float = 0.1,
    passes: int = PASSES,
    seed: int = 0,
) -> MamlLoop:
    """Second-order MAML over the training users: Adam on their query loss after adaptation.

    Args:
        histories: of the training users, (U); ``user_x``: (U, F); ``rules``: how they become episodes.
        knowledge: of the same users; says which signals are relevant and how many items there are.
        inner_lr: step size of adaptation.
        passes: over the users.
    """
    items_ND, layers = start(knowledge.n_items, user_x.shape[1], seed)
    optimiser = torch.optim.Adam([items_ND, *layers], lr=OUTER_LR)
    x_UF = torch.from_numpy(user_x)
    for number in range(passes):
        rng = np.random.default_rng([seed, number])
        users = rng.permutation(histories.n_users)
        for batch in np.array_split(users, max(len(users) // USERS_PER_STEP, 1)):
            losses = []
            for user in batch.tolist():
                support, query = _examples(histories, user, rules, knowledge, rng)
                if len(query.item_S):
                    losses.append(outer_loss(items_ND, layers, x_UF[user], support, query, inner_lr))
            if losses:
                optimiser.zero_grad()
                torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    return MamlLoop(items_ND.detach(), layers, inner_lr, knowledge.relevant)


def outer_loss(
    items_ND: Tensor, layers: Layers, user_F: Tensor, support: Examples, query: Examples, inner_lr: float
) -> Tensor:
    """One user's query loss after adaptation."""
    adapted = adapt(layers, items_ND, user_F, support, inner_lr)
    return bce(logits(adapted, items_ND[query.item_S], user_F), query.label_S)


def start(n_items: int, n_features: int, seed: int) -> tuple[Tensor, Layers]:
    """Random embeddings and layers, all of them to be learned."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float) -> Tensor:
        return (scale * torch.randn(*shape, generator=generator)).requires_grad_()

    layers = Layers(
        normal(DIM, HIDDEN, scale=DIM**-0.5),
        normal(n_features, HIDDEN, scale=0.1),
        torch.zeros(HIDDEN, requires_grad=True),
        normal(HIDDEN, scale=HIDDEN**-0.5),
        torch.zeros((), requires_grad=True),
    )
    return normal(n_items, DIM, scale=1.0), layers


def maml_family(histories: Histories, user_x: NDArray[np.float32], rules: EpisodeRules) -> Family:
    """The loop as a family to tune; arguments as for `fit_maml`."""
    fit: Callable[..., MamlLoop] = partial(fit_maml, histories, user_x, rules)
    return Family(NAME, fit, GRID)


def _examples(
    histories: Histories, user: int, rules: EpisodeRules, knowledge: Knowledge, rng: np.random.Generator
) -> tuple[Examples, Examples]:
    """One draw of the user's support and query, each with its own negatives."""

    def labelled(events: NDArray[np.int64]) -> Examples:
        liked = knowledge.relevant[histories.signal[events]]
        return with_negatives(histories.item_row[events], liked, knowledge.n_items, rng)

    draw = draw_one(histories, user, rules, rng)
    return labelled(draw.support), labelled(draw.query)
