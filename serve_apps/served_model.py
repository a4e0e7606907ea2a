"""A recommender made ready to answer: requests in, answers out, with titles and search.

Knows nothing of HTTP or of Ray, so a test or a notebook can call it as the server does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from engine import Recommender
from engine.errors import RequestError
from engine.ranking.slate import Recommendation, Slate
from engine.recommender import Events
from serve_apps.answers import (
    CatalogueItem,
    IgnoredEvent,
    ItemsAnswer,
    ModelAnswer,
    Reason,
    RecommendAnswer,
    RecommendedItem,
)
from serve_apps.item_search import ItemSearch
from serve_apps.people import History
from serve_apps.requests import RecommendRequest


class ServedModel:
    """One loaded recommender and what is derived from it once: the search over its catalogue."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender
        self._search = ItemSearch(recommender.item_ids, recommender.titles)

    @property
    def version(self) -> str:
        return self._recommender.version

    def check(self, events: Events) -> None:
        """Raise RequestError if an event cannot be understood, which no item being unknown is."""
        self._recommender.check(events)

    def recommend(self, request: RecommendRequest, history: History) -> RecommendAnswer:
        """Adapt to what the person did and rank.

        A stored event that this model cannot understand, as another model could, is ignored and reported.

        Raises:
            RequestError: events or features of the request cannot be understood (an event kind the model
                never saw).
        """
        started = time.perf_counter()
        slate, ignored = self._slate(request, history)
        latency_ms = (time.perf_counter() - started) * 1000
        return RecommendAnswer(
            items=[self._item(item, request.explain) for item in slate.items],
            model_version=self.version,
            shots=slate.shots,
            ignored_events=[IgnoredEvent(item_id=i.item_id, reason=i.reason) for i in slate.ignored]
            + ignored,
            ignored_candidates=list(slate.unknown_candidates),
            ignored_features=list(slate.unknown_features),
            latency_ms=round(latency_ms, 3),
        )

    def _slate(self, request: RecommendRequest, history: History) -> tuple[Slate, list[IgnoredEvent]]:
        def rank(stored: Events) -> Slate:
            return self._recommender.recommend(
                [*stored, *history.sent],
                request.user,
                k=request.k,
                exclude_seen=request.exclude_seen,
                explain=request.explain,
                candidates=request.candidates,
            )

        try:
            return rank(history.stored), []
        except RequestError:
            readable, ignored = self._readable(history.stored)
            if not ignored:
                raise
            return rank(readable), ignored

    def _readable(self, events: Events) -> tuple[list[Mapping[str, object]], list[IgnoredEvent]]:
        readable, ignored = [], []
        for event in events:
            try:
                self.check([event])
                readable.append(event)
            except RequestError as error:
                ignored.append(IgnoredEvent(item_id=str(event["item_id"]), reason=error.what))
        return readable, ignored

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
