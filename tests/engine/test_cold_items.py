"""Items nobody has met are ranked by their features at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine import Recommender
from engine.config import load_config
from engine.data.sources.checkerboard import checkerboard
from jobs.prepare import prepare
from jobs.pretrain import pretrain
from tests.small import SMALL

COLD = {f"new{n}": ("white", "black")[n % 2] for n in range(8)}


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """A checkerboard whose catalogue has eight more items, without an event but with the colour of a kind."""
    folder = tmp_path_factory.mktemp("cold")
    world = checkerboard()
    new = pd.DataFrame({"item_id": list(COLD), "colour": list(COLD.values()), "size": 50})
    items = pd.concat([world.items, new], ignore_index=True)
    prepare(interactions=world.interactions, items=items, out=folder / "data")
    pretrain(folder / "data", folder / "artifact", load_config(None, SMALL), folder / "runs")
    return Recommender.load(folder / "artifact")


@pytest.mark.parametrize(("kind", "colour"), [(0, "white"), (1, "black")])
def test_new_items_of_the_right_kind_come_first(rec: Recommender, kind: int, colour: str) -> None:
    liked = [{"item_id": f"i{item}", "value": 5} for item in (kind, kind + 10, kind + 20)]
    slate = rec.recommend(liked, k=4, candidates=list(COLD))
    assert [COLD[item_id] for item_id in slate.item_ids] == [colour] * 4


def test_new_items_stand_among_the_known_not_below_them(rec: Recommender) -> None:
    """To a stranger a new item is as good as a known one on average."""
    scores = dict(zip(rec.item_ids, rec.score([]), strict=True))
    known = np.array([score for item_id, score in scores.items() if item_id not in COLD])
    new = np.array([scores[item_id] for item_id in COLD])
    assert abs(new.mean() - known.mean()) < 2 * known.std()
