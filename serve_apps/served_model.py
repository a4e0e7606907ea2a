"""A recommender made ready to answer: requests in, answers out, with titles and search.

Knows nothing of HTTP or of Ray, so a test or a notebook can call it as the server does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from engine import Recommender
from engine.errors import RequestError
from engine.ranking.slate import Questions, Recommendation, Slate
from engine.recommender import TITLE_COLUMNS, Asked, Events
from serve_apps.answers import (
    CatalogueItem,
    CompareAnswer,
    ComparedList,
    ElicitAnswer,
    ItemsAnswer,
    ModelAnswer,
    Question,
    RecommendAnswer,
    Signal,
    SimilarAnswer,
    SimilarItem,
)
from serve_apps.coalescer import Coalescer
from serve_apps.item_features import ItemFeatures
from serve_apps.item_search import ItemSearch
from serve_apps.people import History
from serve_apps.requests import CompareRequest, ElicitRequest, ItemsQuery, RecommendRequest

LISTED_MAX = 100

QUICK = 200
"""Events, candidates and items to show, together, up to which an answer takes about half a millisecond."""

INLINE_MS = 0.5
"""What finding the best may take for a typical person, for plain requests to be quick."""

T = TypeVar("T")


class ServedModel:
    """One loaded recommender and what is derived from it once: search over its catalogue, what is popular."""

    def __init__(self, recommender: Recommender, inline_ms: float = INLINE_MS) -> None:
        self._recommender = recommender
        self._knows_uncertainty = recommender.knows_uncertainty
        self._is_quick = recommender.knows_uncertainty and recommender.search_ms < inline_ms
        self._is_shared = recommender.searches_together and not self._is_quick
        self.told_coalesced = Coalescer(self.told_together)
        titles = recommender.titles or ()
        self._title_of = {i: title for i, title in zip(recommender.item_ids, titles, strict=False) if title}
        self._search = ItemSearch(recommender.item_ids, recommender.titles)
        self._features = ItemFeatures(recommender.catalogue, shown_beside=TITLE_COLUMNS)
        popular = np.argsort(-recommender.popularity, kind="stable")
        self._popular: list[int] = popular[:LISTED_MAX].tolist()

    @property
    def version(self) -> str:
        return self._recommender.version

    def check(self, events: Events) -> None:
        """Raise RequestError if an event cannot be understood, which no item being unknown is."""
        self._recommender.check(events)

    def is_quick(self, request: RecommendRequest, history: History) -> bool:
        """Whether `told` takes less than a millisecond.

        Longer: gradient descent, a filter (the first use of a column reads all items), an order to explore
        by (which may lead far into the catalogue), explaining, whatever is long, and any request where
        finding the best takes ``inline_ms`` or more.
        """
        if request.explain or request.filter or request.explore or not self._is_quick:
            return False
        candidates = 0 if request.candidates is None else len(request.candidates)
        return request.k + candidates + len(history.stored) + len(history.sent) <= QUICK

    def is_plain(self, request: RecommendRequest) -> bool:
        """Whether its search is long for the catalogue's sake, and can be that of others, too."""
        more = request.explain, request.filter, request.explore, request.uncertainty
        return self._is_shared and not any(more) and request.candidates is None

    def told_together(
        self, asked: Sequence[tuple[RecommendRequest, History]]
    ) -> list[dict[str, Any] | Exception]:
        """`told` to several people, whose requests are plain; what cannot be understood gets its error."""
        started = time.perf_counter()
        slates = self._recommender.recommend_together(
            [
                Asked([*history.stored, *history.sent], request.user, request.k, request.exclude_seen)
                for request, history in asked
            ]
        )
        latency_ms = (time.perf_counter() - started) * 1000
        return [
            self._alone(*one) if isinstance(slate, RequestError) else self._told(slate, False, [], latency_ms)
            for one, slate in zip(asked, slates, strict=True)
        ]

    def _alone(self, request: RecommendRequest, history: History) -> dict[str, Any] | Exception:
        """Without the events that this model cannot understand, or the error."""
        try:
            return self.told(request, history)
        except RequestError as error:
            return error

    def recommend(self, request: RecommendRequest, history: History) -> RecommendAnswer:
        """`told`, as a value."""
        return RecommendAnswer.model_validate(self.told(request, history))

    def told(self, request: RecommendRequest, history: History) -> dict[str, Any]:
        """Adapt to what the person did and rank: what a `RecommendAnswer` says, ready for JSON.

        A stored event that this model cannot understand, as another model could, is ignored and reported.

        Raises:
            RequestError: the request cannot be understood (an event kind the model never saw).
        """

        def rank(events: Events) -> Slate:
            return self._recommender.recommend(
                events,
                request.user,
                k=request.k,
                exclude_seen=request.exclude_seen,
                explain=request.explain,
                candidates=request.candidates,
                filter=request.conditions(),
                explore=request.explore and request.explore.model_dump(exclude_none=True),
                uncertainty=request.uncertainty,
            )

        started = time.perf_counter()
        slate, unread = self._ask(rank, history)
        return self._told(slate, request.explain, unread, (time.perf_counter() - started) * 1000)

    def _told(
        self, slate: Slate, explain: bool, unread: list[dict[str, str]], latency_ms: float
    ) -> dict[str, Any]:
        return {
            "items": [self._item(item, explain) for item in slate.items],
            **self._about(slate, unread),
            "latency_ms": round(latency_ms, 3),
        }

    def elicit(self, request: ElicitRequest, history: History) -> ElicitAnswer:
        """What to ask the person about next.

        Raises:
            RequestError: as for `recommend`; also where the model adapts by gradient descent.
        """

        def ask(events: Events) -> Questions:
            return self._recommender.elicit(
                events,
                request.user,
                k=request.k,
                candidates=request.candidates,
                filter=request.conditions(),
                asked=request.asked,
                seed=request.seed,
            )

        questions, unread = self._ask(ask, history)
        items = [
            Question(item_id=q.item_id, title=self._title_of.get(q.item_id), gain=q.gain, known=q.known)
            for q in questions.items
        ]
        return ElicitAnswer(items=items, **self._about(questions, unread))

    def similar(self, item_id: str, k: int) -> SimilarAnswer | None:
        """The items that go most with one; None if that is not in the catalogue."""
        if self._search.row_of(item_id) is None:
            return None
        items = [
            SimilarItem(item_id=s.item_id, title=self._title_of.get(s.item_id), similarity=s.similarity)
            for s in self._recommender.similar(item_id, k)
        ]
        return SimilarAnswer(items=items, model_version=self.version)

    def _ask(self, ask: Callable[[Events], T], history: History) -> tuple[T, list[dict[str, str]]]:
        """``ask`` with the events that can be understood, and which stored ones cannot."""
        try:
            return ask([*history.stored, *history.sent]), []
        except RequestError:
            readable, unread = self._readable(history.stored)
            if not unread:
                raise
            return ask([*readable, *history.sent]), unread

    def _about(self, answer: Slate | Questions, unread: list[dict[str, str]]) -> dict[str, Any]:
        ignored = [{"item_id": i.item_id, "reason": i.reason} for i in answer.ignored]
        return {
            "model_version": self.version,
            "shots": answer.shots,
            "ignored_events": ignored + unread,
            "ignored_candidates": list(answer.unknown_candidates),
            "ignored_features": list(answer.unknown_features),
        }

    def _readable(self, events: Events) -> tuple[list[Mapping[str, object]], list[dict[str, str]]]:
        readable, ignored = [], []
        for event in events:
            try:
                self.check([event])
                readable.append(event)
            except RequestError as error:
                ignored.append({"item_id": str(event["item_id"]), "reason": error.what})
        return readable, ignored

    def compare(self, request: CompareRequest, history: History) -> CompareAnswer:
        """What simpler methods would show to the person.

        Raises:
            RequestError: an event cannot be understood.
        """
        lists, _ = self._ask(lambda events: self._recommender.rivals(events, request.k), history)
        return CompareAnswer(
            lists=[
                ComparedList(
                    method=method,
                    items=[CatalogueItem(item_id=i, title=self._title_of.get(i)) for i in ids],
                )
                for method, ids in lists.items()
            ],
            model_version=self.version,
        )

    def find_items(self, query: ItemsQuery) -> ItemsAnswer:
        """Up to ``limit`` items: those named, or whose id or title matches; else the most popular."""
        return ItemsAnswer(
            items=[
                CatalogueItem(
                    item_id=self._recommender.item_ids[row],
                    title=self._title_of.get(self._recommender.item_ids[row]),
                    features=self._features.of(row) if query.features else None,
                )
                for row in self._rows(query)
            ]
        )

    def _rows(self, query: ItemsQuery) -> list[int]:
        if query.id:
            found = (self._search.row_of(item_id) for item_id in query.id)
            return [row for row in found if row is not None]
        if query.query.strip():
            return self._search.find(query.query, query.limit)
        return self._popular[: query.limit]

    def describe(self) -> ModelAnswer:
        recommender = self._recommender
        return ModelAnswer(
            model_version=self.version,
            n_items=len(recommender.item_ids),
            signals=[
                Signal(
                    name=name,
                    value=None if math.isnan(value) else value,
                    event=name if math.isnan(value) else None,
                    wanted=wanted,
                )
                for name, value, wanted in zip(
                    recommender.signals.names,
                    recommender.signals.value.tolist(),
                    recommender.wanted.tolist(),
                    strict=True,
                )
            ],
            knows_uncertainty=self._knows_uncertainty,
            recall=recommender.recall,
            manifest=dict(self._recommender.manifest),
        )

    def _item(self, item: Recommendation, explain: bool) -> dict[str, Any]:
        """What a `RecommendedItem` says."""
        told = self._named(item.item_id)
        told["score"] = item.score
        if item.prediction is not None:
            told["prediction"] = item.prediction
        if item.uncertainty is not None:
            told["uncertainty"] = item.uncertainty
        if explain:
            told["because"] = [
                {**self._named(b.item_id), "score_change": b.score_change, "rank_without": b.rank_without}
                for b in item.because
            ]
        return told

    def _named(self, item_id: str) -> dict[str, Any]:
        title = self._title_of.get(item_id)
        return {"item_id": item_id} if title is None else {"item_id": item_id, "title": title}
