"""A recommender made ready to answer: requests in, answers out, with titles and search.

Knows nothing of HTTP or of Ray, so a test or a notebook can call it as the server does.
"""

from __future__ import annotations

import time

from engine import Recommender
from engine.ranking.slate import Recommendation
from serve_apps.item_search import ItemSearch
from serve_apps.schemas import (
    CatalogueItem,
    IgnoredEvent,
    ItemsAnswer,
    ModelAnswer,
    Reason,
    RecommendAnswer,
    RecommendedItem,
    RecommendRequest,
)


class ServedModel:
    """One loaded recommender and what is derived from it once: the search over its catalogue."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender
        self._search = ItemSearch(recommender.item_ids, recommender.titles)

    @property
    def version(self) -> str:
        return self._recommender.version

    def recommend(self, request: RecommendRequest) -> RecommendAnswer:
        """Adapt to the request's events and rank.

        Raises:
            RequestError: the events or features cannot be understood (an event kind the model never saw).
        """
        started = time.perf_counter()
        slate = self._recommender.recommend(
            [event.model_dump(exclude_none=True) for event in request.events],
            request.user,
            k=request.k,
            exclude_seen=request.exclude_seen,
            explain=request.explain,
            candidates=request.candidates,
        )
        latency_ms = (time.perf_counter() - started) * 1000
        return RecommendAnswer(
            items=[self._item(item, request.explain) for item in slate.items],
            model_version=self.version,
            shots=slate.shots,
            ignored_events=[IgnoredEvent(item_id=i.item_id, reason=i.reason) for i in slate.ignored],
            ignored_candidates=list(slate.unknown_candidates),
            ignored_features=list(slate.unknown_features),
            latency_ms=round(latency_ms, 3),
        )

    def find_items(self, query: str, limit: int) -> ItemsAnswer:
        """Up to ``limit`` items whose id or title matches, best first."""
        ids = self._recommender.item_ids
        found = [ids[row] for row in self._search.find(query, limit)]
        return ItemsAnswer(items=[CatalogueItem(item_id=i, title=self._title(i)) for i in found])

    def describe(self) -> ModelAnswer:
        return ModelAnswer(
            model_version=self.version,
            n_items=len(self._recommender.item_ids),
            manifest=dict(self._recommender.manifest),
        )

    def _title(self, item_id: str) -> str | None:
        titles, row = self._recommender.titles, self._search.row_of(item_id)
        return (titles[row] or None) if titles is not None and row is not None else None

    def _item(self, item: Recommendation, explain: bool) -> RecommendedItem:
        because = [
            Reason(
                item_id=b.item_id,
                title=self._title(b.item_id),
                score_change=b.score_change,
                rank_without=b.rank_without,
            )
            for b in item.because
        ]
        return RecommendedItem(
            item_id=item.item_id,
            title=self._title(item.item_id),
            score=item.score,
            prediction=item.prediction,
            because=because if explain else None,
        )
