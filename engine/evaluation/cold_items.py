"""Items nobody has met: which are held out of training, and how known and unknown people are asked for them.

A cold item stands in the catalogue with its features and without an event. Knows nothing of models, metrics
or files.

Shapes: U users of the data set, N catalogue, B held-out users, F user features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.data.histories import Histories
from engine.errors import DataError
from engine.evaluation.protocol import SHOTS, Cut, HeldOut, Order, assemble, ordered

USER_COLD, ITEM_COLD, BOTH_COLD = "user-cold", "item-cold", "both-cold"
_STREAM = 0xC01D  # its own random stream: the users' split does not change with the share


def draw_cold_items(met_N: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.bool_]:
    """A share of the items that have events, rounded down, (N,)."""
    met = np.flatnonzero(met_N)
    cold_N = np.zeros(len(met_N), np.bool_)
    cold_N[np.random.default_rng([seed, _STREAM]).permutation(met)[: int(share * len(met))]] = True
    return cold_N


def hold_out_items(
    histories: Histories,
    cold_N: NDArray[np.bool_],
    users: NDArray[np.int64],
    user_x: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    shots: Sequence[int] = SHOTS,
    order: Order = "time",
    gap: int = 20,
    seed: int = 0,
) -> HeldOut:
    """Ask users for the cold items they want, after K events with warm ones.

    Support = the first K warm events of the user's order. Query = all relevant events with cold items,
    whenever they happened; candidates = the cold items alone. Users, candidates and query are thus the same
    at every K. Asking users who were trained on gives "item-cold", held-out users "both-cold".

    Args:
        histories: all users with all their events, (U); ``users``: (B,) rows of those to ask.
        cold_N: the items whose events no training has seen.
        order, relevant, seed, user_x: as for `engine.evaluation.protocol.hold_out`.
        gap: users with fewer warm events are dropped. With 0 one is enough, and for short histories "K
            shots" means "at most K shots".

    Raises:
        DataError: no user is left. Users without a relevant event with a cold item are dropped.
    """
    cuts = list(_cuts(histories, cold_N, users, relevant, max(shots), order, max(gap, 1), seed))
    if not cuts:
        raise DataError(
            f"none of {len(users)} users has {max(gap, 1)} events with warm items and wants a cold one",
            where=f"{int(cold_N.sum())} cold items",
            fix="Raise evaluation.cold_item_share, hold out more users, or widen what counts as relevant.",
        )
    return assemble(histories, cuts, user_x, relevant, shots, order, ~cold_N)


def _cuts(
    histories: Histories,
    cold_N: NDArray[np.bool_],
    users: NDArray[np.int64],
    relevant: NDArray[np.bool_],
    most: int,
    order: Order,
    least: int,
    seed: int,
) -> Iterator[Cut]:
    for user in users.tolist():
        events = ordered(histories, user, order, seed)
        cold = cold_N[histories.item_row[events]]
        warm, asked = events[~cold], events[cold]
        if len(warm) >= least and relevant[histories.signal[asked]].any():
            yield Cut(user, warm[:most], asked)
