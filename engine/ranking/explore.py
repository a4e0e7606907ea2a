"""Exploration: an order that also shows what is not yet sure to be good, so that something is learned.

Knows nothing of items or of how a posterior came about.

Shapes: N items, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from engine.errors import RequestError

METHODS = ("thompson", "ucb")
KEYS = ("method", "strength", "seed")


@dataclass(frozen=True)
class Explore:
    """How to explore.

    ``thompson``: rank by one draw of the user's vector from its posterior, ``w + strength * (draw - w)``:
    every item comes first as often as it is the best (Thompson 1933). ``ucb``: rank by ``score + strength *
    uncertainty``: the best that each item may well be (Li et al. 2010, LinUCB). Strength 0 is no exploration.
    """

    method: Literal["thompson", "ucb"] = "thompson"
    strength: float = 1.0
    seed: int | None = None  # the same seed, events and model: the same draw


def read_explore(request: Mapping[str, object] | str | None) -> Explore | None:
    """``{"method": "thompson" or "ucb", "strength"?: from 0, "seed"?: integer from 0}``, or the method alone.

    Raises:
        RequestError: anything else; names the field.
    """
    if request is None:
        return None
    if isinstance(request, str):
        request = {"method": request}
    if not isinstance(request, Mapping):
        raise _wrong(f"{request!r} is no way to explore")
    unknown = [str(key) for key in request if key not in KEYS]
    if unknown:
        raise _wrong(f"unknown field {unknown[0]!r}")
    method, strength, seed = (request.get(key) for key in KEYS)
    if method not in METHODS:
        raise _wrong(f"method is {method!r}")
    strength = 1.0 if strength is None else strength
    if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength <= 1e6:
        raise _wrong(f"strength is {strength!r}")
    if not is_seed(seed):
        raise _wrong(f"seed is {seed!r}")
    return Explore(cast(Literal["thompson", "ucb"], method), float(strength), cast(int | None, seed))


def is_seed(seed: object) -> bool:
    """Whether it repeats a draw (an integer from 0) or asks for a new one (None)."""
    return seed is None or (isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0)


def _wrong(what: str) -> RequestError:
    return RequestError(
        what,
        where="explore",
        fix='Give {"method": "thompson" or "ucb", "strength": a number from 0, "seed": an integer from 0}; '
        "strength and seed may be left out.",
    )
