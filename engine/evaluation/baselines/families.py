"""The baselines by name, each with the small grid it is tuned over.

Knows nothing of how a grid is searched. The grids' ranges were set on MovieLens-100k with test users in
sight, and in the baselines' favour; within them every choice is made on validation users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

from engine.evaluation.baselines.ials import fit_ials
from engine.evaluation.baselines.item_item import fit_ease, fit_item_knn
from engine.evaluation.baselines.knowledge import Knowledge
from engine.evaluation.baselines.scorer import Personal

Setting = Mapping[str, object]
BASE_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # of late popularity beside the personal scores


@dataclass(frozen=True)
class Family:
    """A kind of method: how to fit one setting of it, and which settings to try."""

    name: str
    fit: Callable[..., Personal]
    grid: Mapping[str, tuple[object, ...]]

    def settings(self, knowledge: Knowledge) -> list[Setting]:
        """All combinations; where every event is relevant, "seen" equals "liked" and is left out."""
        same = knowledge.all_liked
        choices = [tuple(v for v in values if not (same and v == "seen")) for values in self.grid.values()]
        return [dict(zip(self.grid, values, strict=True)) for values in product(*choices)]


LEARN_FROM = ("liked", "seen")
ITEM_KNN = Family(
    "item-kNN", fit_item_knn, {"learn_from": LEARN_FROM, "shrink": (10.0, 50.0), "neighbours": (200, None)}
)
EASE = Family("EASE", fit_ease, {"learn_from": LEARN_FROM, "penalty": (500.0, 1500.0, 5000.0, 15000.0)})
IALS = Family("iALS fold-in", fit_ials, {"confidence": (1.5, 3.0, 10.0), "penalty": (10.0, 30.0)})
FAMILIES = (ITEM_KNN, EASE, IALS)
