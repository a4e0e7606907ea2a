"""An approximate search for catalogues so large that even their bounds take long to read.

The first blocks of the exact search are read as ever; where what is left may hold better items, an index
proposes some, which are scored exactly. The index is an inverted file (Jégou, Douze and Schmid 2011) of the
library faiss, a byte a dimension: items lie in lists by the centre that scores best with them, and the lists
whose centres score best with the user are read. How many is measured: as many as find `TARGET` of what the
exact search finds for some users. Other threads run meanwhile. Knows nothing of
requests.

Shapes: N catalogue, D embedding, M items that are proposed, K slate, L lists.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.ranking.search import BLOCK, Aim, Tables, best_unlocked, scores_of

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

FIRST = 128
"""Blocks that are read before the index is asked."""
PROPOSED = 10
"""Items that the index proposes for each one that is wanted."""
TARGET = 0.95
"""Of the items that the exact search finds."""
AT_ONCE = 2**18
"""Items that are put into the index together."""
WHOLE = 16
"""Dimensions in steps of which faiss is fast."""
SLATE = 20
_ALL, _NONE = np.empty(0, np.bool_), np.empty(0, np.int64)

_log = logging.getLogger(__name__)


class ApproximateSearch:
    """Finds most of the K best.

    Attributes:
        recall: share of the best 20 that it found for the users it was measured with.
        n_lists, n_read: lists there are, and those that are read for a request.

    Args:
        aims: of the users to measure with.
        first: blocks that are read before the index is asked; those of the ridge must be among them.

    Raises:
        ConfigError: faiss is not installed.
    """

    def __init__(self, tables: Tables, aims: Sequence[Aim], seed: int = 0, first: int | None = None) -> None:
        self._tables = tables
        self._first = max(FIRST if first is None else first, len(tables.ridge_G6B))
        self._middle = np.float32(tables.base_N.mean())
        self.n_lists = min(int(2 * math.sqrt(len(tables.base_N))), len(tables.base_N))
        self._index = self._built(np.random.default_rng(seed))
        self.n_read, self.recall = 1, 0.0
        self._measure(aims)

    def __call__(self, aim: Aim, k: int, barred: Rows) -> tuple[Rows, Floats]:
        """As `search.best` of all items; exactly where more are asked for than the index is made for."""
        few = PROPOSED * (k + len(barred)) <= self._first * BLOCK
        most = self._first if few else len(self._tables.row_GB)
        rows, scores, left = best_unlocked(self._tables, aim, k, _ALL, barred, most)
        if not left:
            return rows, scores
        rows = np.union1d(rows, np.setdiff1d(self._proposed(aim, PROPOSED * k + len(barred)), barred))
        scores = scores_of(self._tables, aim, rows)
        order_K = np.lexsort((rows, -scores))[:k]
        return rows[order_K], scores[order_K]

    def _built(self, rng: np.random.Generator) -> Any:
        """Items as they count for users of the prior (`Sketch`), and one dimension for their base measure."""
        faiss, n_items = need_faiss(), len(self._tables.base_N)
        some = self._items(np.sort(rng.permutation(n_items)[: 40 * self.n_lists]))
        index = faiss.index_factory(some.shape[1], f"IVF{self.n_lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1
        index.train(some)
        for start in range(0, n_items, AT_ONCE):
            index.add(self._items(np.arange(start, min(start + AT_ONCE, n_items))))
        return index

    def _items(self, rows: Rows) -> Floats:
        tables = self._tables
        return _filled(tables.phi_ND[rows] @ tables.turn_DD, tables.base_N[rows] - self._middle)

    def _proposed(self, aim: Aim, n: int) -> Rows:
        u_D = (aim.w_D * self._tables.scale_D).astype(np.float32)
        query_1D = _filled((self._tables.user_turn_DD @ u_D)[None], np.array([aim.base_weight], np.float32))
        rows = self._index.search(query_1D, n)[1][0]
        return np.asarray(rows[rows >= 0])

    def _measure(self, aims: Sequence[Aim]) -> None:
        """Read twice as many lists until enough is found."""
        n_blocks = len(self._tables.row_GB)
        wanted = [best_unlocked(self._tables, aim, SLATE, _ALL, _NONE, n_blocks)[0] for aim in aims]
        while True:
            self._index.nprobe = self.n_read
            found = [self(aim, SLATE, _NONE)[0] for aim in aims]
            self.recall = float(np.mean([np.isin(w, f).mean() for w, f in zip(wanted, found, strict=True)]))
            if self.recall >= TARGET or self.n_read == self.n_lists:
                break
            self.n_read = min(2 * self.n_read, self.n_lists)
        told = "an index reads %d of %d lists and finds %.3f of the best %d of %d users"
        _log.info(told, self.n_read, self.n_lists, self.recall, SLATE, len(aims))


def _filled(x_MD: Floats, base_M: Floats) -> Floats:
    """Both beside each other, and zeros up to a whole number of the processor's words."""
    dim = x_MD.shape[1]
    filled = np.zeros((len(x_MD), -(-(dim + 1) // WHOLE) * WHOLE), np.float32)
    filled[:, :dim], filled[:, dim] = x_MD, base_M
    return filled


def need_faiss() -> Any:
    """The library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            f"an approximate search needs the library faiss, which cannot be imported: {error}",
            where="approximate_above",
            fix="pip install 'firstclick[index]', or leave approximate_above out: the search is then exact.",
        ) from None
    return faiss
