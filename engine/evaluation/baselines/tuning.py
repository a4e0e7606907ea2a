"""Chooses each baseline's settings on validation users, anew for every number of shots.

Knows nothing of test users: it is handed validation episodes alone. Choosing per number of shots gives
the baselines more than their papers do: they are to be beaten at their best.

Shapes: N catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.episodes import Episodes, take_episodes
from engine.data.histories import Histories
from engine.evaluation.baselines.families import BASE_WEIGHTS, FAMILIES, Family, Setting
from engine.evaluation.baselines.knowledge import Events, Knowledge, learn
from engine.evaluation.baselines.scorer import (
    Blend,
    ByShots,
    Constant,
    Personal,
    Scorer,
    blend,
    standardised,
)
from engine.evaluation.metrics import ndcg_at
from engine.evaluation.protocol import Order

TUNING_USERS = 400  # enough to rank settings; more would only cost time


@dataclass(frozen=True)
class Choice:
    """The best setting found for one number of shots."""

    setting: Setting
    events: Events  # of the support: the liked ones or all
    weight: float
    quality: float  # validation nDCG@10
    personal: Personal


def baselines(
    train: Histories,
    n_items: int,
    relevant: NDArray[np.bool_],
    validation: Mapping[int, Episodes],
    gap: int = 20,
    order: Order = "time",
    families: Sequence[Family] = FAMILIES,
    on_step: Callable[[str], None] = lambda name: None,
) -> list[Scorer]:
    """Fit and tune everything the tables compare with: both popularities, then each family.

    Args:
        train: histories of the training users alone.
        n_items: N.
        relevant: by signal.
        validation: held-out validation episodes, by shots; the first ``TUNING_USERS`` users are used.
        gap, order: as for `engine.evaluation.protocol.hold_out`.
        on_step: called with each method's name before its fit, for progress bars.
    """
    knowledge = learn(train, n_items, relevant, gap, order, max(validation))
    scorers: list[Scorer] = [popularity(knowledge), late_popularity(knowledge)]
    sample = {shots: take_episodes(e, slice(0, TUNING_USERS)) for shots, e in validation.items()}
    for family in families:
        on_step(family.name)
        choices = tune(family, knowledge, sample, knowledge.base)
        scorers.append(as_scorer(family, knowledge.base, choices))
    return scorers


def popularity(knowledge: Knowledge) -> Constant:
    """Users who liked the item."""
    return Constant("popularity", knowledge.popularity.astype(np.float32))


def late_popularity(knowledge: Knowledge) -> Constant:
    """Relevant events after the gap: popularity among the events that can be queries."""
    return Constant("late popularity", knowledge.base)


def tune(
    family: Family, knowledge: Knowledge, validation: Mapping[int, Episodes], base: NDArray[np.float32]
) -> dict[int, Choice]:
    """The choice of highest mean validation nDCG@10 for each number of shots; the first of equals.

    ``base``, (N,), is what everyone is scored by where the support says nothing.
    """
    best: dict[int, Choice] = {}
    for setting in family.settings(knowledge):
        personal = family.fit(knowledge, **setting)
        for shots, episodes in validation.items():
            for events, weight, quality in _qualities(personal, knowledge.all_liked, episodes, base):
                if shots not in best or quality > best[shots].quality:
                    best[shots] = Choice(setting, events, weight, quality, personal)
    return best


def as_scorer(family: Family, base: NDArray[np.float32], choices: Mapping[int, Choice]) -> ByShots:
    """One scorer that answers each user by the choice for the user's number of events."""
    name = family.name
    return ByShots(name, {k: Blend(name, c.personal, c.events, base, c.weight) for k, c in choices.items()})


def _qualities(
    personal: Personal, all_liked: bool, episodes: Episodes, base: NDArray[np.float32]
) -> Iterator[tuple[Events, float, float]]:
    kinds: tuple[Events, ...] = ("liked",) if all_liked else ("liked", "seen")
    for events in kinds:
        own = standardised(personal.score(episodes, events))
        for weight in BASE_WEIGHTS if own.any() else BASE_WEIGHTS[:1]:
            quality = np.nanmean(ndcg_at(blend(own, base, weight), episodes))
            yield events, weight, float(quality)
