"""Held-out users whose support is partly noise: how much does a method lose?

Knows nothing of methods.

Shapes: B users, S support (padded), N catalogue.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from engine.data.episodes import Episodes
from engine.evaluation.protocol import HeldOut


def corrupted(held: HeldOut, share: float, n_items: int, seed: int = 0) -> HeldOut:
    """The same users, ``share`` of whose support events are with a random item instead, signals kept.

    Item and event are drawn by (seed, place), so that an event that is replaced at K shots is replaced, by
    the same item, at every larger K. Queries and candidates stay as they are.
    """
    widest = max(episodes.support_item.shape[1] for episodes in held.episodes.values())
    rng = np.random.default_rng(seed)
    noisy_BS = torch.from_numpy(rng.random((len(held.users), widest)) < share)
    item_BS = torch.from_numpy(rng.integers(0, n_items, noisy_BS.shape))

    def corrupt(episodes: Episodes) -> Episodes:
        width = episodes.support_item.shape[1]
        swap = noisy_BS[:, :width] & episodes.present
        return replace(episodes, support_item=torch.where(swap, item_BS[:, :width], episodes.support_item))

    return replace(held, episodes={shots: corrupt(e) for shots, e in held.episodes.items()})
