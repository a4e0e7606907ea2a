"""The recommender: a user's events in, a ranked catalogue out.

Stateless: a user's posterior is computed in the call and forgotten. Knows nothing of Ray or HTTP.

Shapes: B users, S support, N catalogue, F user features, K slate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from engine.artifact import Artifact, load_artifact
from engine.data.events import Support, read_events
from engine.errors import RequestError
from engine.ranking.elicit import questions
from engine.ranking.explain import leave_one_out
from engine.ranking.explore import is_seed, read_explore
from engine.ranking.filters import FeatureFilters, Filter
from engine.ranking.neighbours import in_order
from engine.ranking.scorer import Adapted, Scorer
from engine.ranking.slate import Because, Question, Questions, Recommendation, Similar, Slate, best_rows
from engine.stopwatch import lap

Events = Sequence[Mapping[str, object]]
User = Mapping[str, object] | None


class Asked(NamedTuple):
    """What one of several people asks `Recommender.recommend_together` for."""

    events: Events
    user: User = None
    k: int = 10
    exclude_seen: bool = True


MEASURED, TIMED = 64, 8
"""Users with whom the recall of an approximate search is measured, and the time of a search."""
TITLE_COLUMNS = ("title", "name", "item_name", "product_name", "headline")


class Recommender:
    """Adapts the prior to a user's events and ranks the whole catalogue.

    Events are ``{"item_id", "value" or "event", "timestamp"?}``, in time order where each is dated,
    else as given, oldest first; one with neither value nor event is what people most often want (a like).
    Items that are not in the catalogue are ignored and reported. No events is fine: the answer is the
    prior's. ``user`` holds the user's raw features, as in the users table.
    """

    def __init__(self, artifact: Artifact, approximate_above: int | None = None) -> None:
        self.manifest = artifact.manifest
        self.catalogue = artifact.items
        self.signals = artifact.signals
        self.filters = FeatureFilters(artifact.items, artifact.item_encoder)
        self._default_signal = artifact.default_signal
        self.item_ids: list[str] = artifact.items["item_id"].to_pylist()
        self._rows = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self._user_encoder = artifact.user_encoder
        self._model, self._objective = artifact.model, artifact.model.objective
        self._neighbours = artifact.neighbours
        self._average_F = artifact.model.prior.x_mean_F.numpy()
        self._scorer = Scorer(artifact.model)
        if approximate_above is not None and len(self.item_ids) > approximate_above:
            self._scorer.search_approximately(self._scorer.typical(self._default_signal, MEASURED))

    @classmethod
    def load(cls, folder: str | Path, approximate_above: int | None = None) -> Recommender:
        """Load an artifact.

        Args:
            approximate_above: where there are more items, search them through an index, which finds most of
                the best (`recall`); None: always find the best. Needs the extra ``index``.

        Raises:
            ArtifactError: it is missing, broken or of a newer format.
            ConfigError: an index is asked for and faiss is not installed.
        """
        return cls(load_artifact(Path(folder)), approximate_above)

    @property
    def version(self) -> str:
        """Changes whenever what the artifact holds changes."""
        return str(self.manifest["version"])

    @property
    def user_kinds(self) -> dict[str, str]:
        """What can be told of a person: feature -> category, tags, number, text or vector."""
        return self._user_encoder.kinds

    @cached_property
    def titles(self) -> list[str] | None:
        """Names to show, one per catalogue row, where the items table has a title or name column."""
        column = next((name for name in TITLE_COLUMNS if name in self.catalogue.column_names), None)
        if column is None:
            return None
        named = zip(self.catalogue[column].to_pylist(), self.item_ids, strict=True)
        return [item_id if title is None else str(title) for title, item_id in named]

    @cached_property
    def wanted(self) -> NDArray[np.bool_]:
        """Which signals say that something is wanted, (R,)."""
        chosen = self.manifest["config"].get("signals", {})
        return self.signals.relevant(chosen.get("relevant_min"), chosen.get("relevant"))

    @cached_property
    def knows_uncertainty(self) -> bool:
        """Whether the model can explore, and tell how sure it is and what to ask."""
        try:
            self._scorer.need_posterior()
        except RequestError:
            return False
        return True

    @property
    def searches_together(self) -> bool:
        """Whether `recommend_together` reads for all at once: in closed form, without an index."""
        return self._scorer.searches_together

    @cached_property
    def search_ms(self) -> float:
        """What finding the best takes, measured when it is first asked for."""
        return self._scorer.search_ms(self._scorer.typical(self._default_signal, TIMED))

    @property
    def recall(self) -> float:
        """Share of the 20 best items that is found, by measurement; 1 where the search is exact."""
        return self._scorer.approximate.recall if self._scorer.approximate else 1.0

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """How much every item is wanted by everyone, (N,); items without events come last."""
        items = self._model.items
        base_N = items.base_N.numpy()
        return np.where(items.warm_N.numpy(), base_N, base_N.min() - 1).astype(np.float32)

    def score(self, events: Events, user: User = None) -> NDArray[np.float32]:
        """Score every item for one user, (N,); higher is better.

        Raises:
            RequestError: an event cannot be understood.
        """
        return self._scorer.scores(self._adapt(events, user))

    def score_batch(
        self, events: Sequence[Events], users: Sequence[User] | None = None
    ) -> NDArray[np.float32]:
        """Score every item for several users, (B, N).

        Raises:
            RequestError: an event cannot be understood, or the two lists differ in length.
        """
        users = [None] * len(events) if users is None else users
        if len(users) != len(events):
            raise RequestError(f"{len(events)} lists of events but {len(users)} users")
        return self._score([self._read(e) for e in events], users)

    def recommend(
        self,
        events: Events,
        user: User = None,
        k: int = 10,
        exclude_seen: bool = True,
        explain: bool = False,
        candidates: Sequence[str] | None = None,
        filter: Filter | None = None,
        explore: Mapping[str, object] | str | None = None,
        uncertainty: bool = False,
    ) -> Slate:
        """The K best items for one user.

        Args:
            events: what the user did.
            user: the user's features.
            k: at most this many items, at least 1.
            exclude_seen: leave out the items of ``events``.
            explain: give for each item the events that matter most, of the latest 50.
            candidates: rank these items only; unknown ones are ignored and reported.
            filter: rank only items with these features, as ``{"genre": ["Drama"], "year": {"min": 1990}}``
                (`FeatureFilters.mask`); joined with ``candidates`` by "and".
            explore: show also what is not yet sure to be good: ``"thompson"``, ``"ucb"`` or ``{"method",
                "strength"?, "seed"?}`` (`read_explore`). The order is then the explored one; ``score`` and
                what explains it stay those of the posterior's mean, so scores need not descend.
            uncertainty: give each score's standard deviation under the posterior; ``explore`` does so, too.

        Raises:
            RequestError: k < 1, an event, filter or way to explore cannot be understood, or the model adapts
                by gradient descent and so knows no uncertainty.
        """
        check_k(k)
        how = read_explore(explore)
        if how or uncertainty:
            self._scorer.need_posterior()
        with lap("adapt"):
            adapted = self._adapt(events, user)
        allowed_N, unknown = self._candidates(candidates, filter)
        barred = adapted.support.item_row if exclude_seen else None
        slate_K, scores_K = self._scorer.best(adapted, int(k), allowed_N, barred, how)
        deviation_K = self._scorer.deviations(adapted, slate_K).tolist() if how or uncertainty else None
        because = self._because(adapted, user, allowed_N, slate_K, exclude_seen) if explain else None
        return self._slate(adapted, slate_K, scores_K, user, because, deviation_K, unknown)

    def recommend_together(self, asked: Sequence[Asked]) -> list[Slate | RequestError]:
        """`recommend` for several people; where their searches read far into a large catalogue, in less time
        than one after the other.

        Who asks for what cannot be understood gets the error that `recommend` would raise.
        """
        answers: dict[int, Slate | RequestError] = {}
        adapted: dict[int, Adapted] = {}
        for place, one in enumerate(asked):
            try:
                check_k(one.k)
                adapted[place] = self._adapt(one.events, one.user)
            except RequestError as error:
                answers[place] = error
        known, nobody = [asked[place] for place in adapted], np.empty(0, np.int64)
        barred = [
            user.support.item_row if one.exclude_seen else nobody
            for one, user in zip(known, adapted.values(), strict=True)
        ]
        found = self._scorer.best_together(list(adapted.values()), [int(one.k) for one in known], barred)
        for (place, user), one, best in zip(adapted.items(), known, found, strict=True):
            answers[place] = self._slate(user, *best, one.user)
        return [answers[place] for place in range(len(asked))]

    def _slate(
        self,
        adapted: Adapted,
        rows_K: NDArray[np.int64],
        scores_K: NDArray[np.float32],
        user: User,
        because: Sequence[tuple[Because, ...]] | None = None,
        deviation_K: Sequence[float | None] | None = None,
        unknown: tuple[str, ...] = (),
    ) -> Slate:
        n = len(rows_K)
        with lap("top_k"):
            item_ids = map(self.item_ids.__getitem__, rows_K.tolist())
            predictions = self._predictions(scores_K)
            why, doubt = because or [()] * n, deviation_K or [None] * n
            columns = zip(item_ids, scores_K.tolist(), why, predictions, doubt, strict=True)
            items = tuple(map(Recommendation._make, columns))
        support = adapted.support
        return Slate(items, len(support.item_row), support.ignored, unknown, self._unused(user))

    def elicit(
        self,
        events: Events = (),
        user: User = None,
        k: int = 5,
        candidates: Sequence[str] | None = None,
        filter: Filter | None = None,
        asked: Sequence[str] = (),
        seed: int | None = None,
    ) -> Questions:
        """The K items to ask this user about next, the most telling first, chosen as a set among some drawn.

        An answer is an event; one that the user cannot give ("never heard of it") is none: name the item in
        ``asked``, so that it is not asked again. Items of ``events`` are not asked about, either.

        Args:
            events, user, candidates, filter: as for `recommend`.
            k: at most this many.
            asked: items already asked about.
            seed: from 0; the same seed, events and model: the same questions. None: others each time.

        Raises:
            RequestError: as for `recommend`, or a negative seed; also where the model adapts by gradient
                descent.
        """
        check_k(k)
        if not is_seed(seed):
            raise RequestError(f"seed = {seed!r}", fix="Give an integer from 0, or leave it out.")
        self._scorer.need_posterior()
        with lap("adapt"):
            adapted = self._adapt(events, user)
        allowed_N, unknown = self._candidates(candidates, filter)
        open_N = np.ones(len(self.item_ids), np.bool_) if allowed_N is None else allowed_N.copy()
        open_N[adapted.support.item_row] = False
        open_N[[self._rows[i] for i in map(str, asked) if i in self._rows]] = False
        rng = np.random.default_rng(seed)
        rows, gains, known = questions(self._scorer, adapted, open_N, self._default_signal, int(k), rng)
        items = tuple(
            Question(self.item_ids[row], gain, chance)
            for row, gain, chance in zip(rows.tolist(), gains.tolist(), known.tolist(), strict=True)
        )
        return Questions(
            items, len(adapted.support.item_row), adapted.support.ignored, unknown, self._unused(user)
        )

    def similar(self, item_id: str, k: int = 10) -> tuple[Similar, ...]:
        """The K items whose scores go most with this one's over all users; items without events are among
        them, by their features.

        Raises:
            RequestError: k < 1, or the item is not in the catalogue.
        """
        check_k(k)
        row = self._rows.get(str(item_id))
        if row is None:
            raise RequestError(f"no item {item_id!r} in the catalogue", fix="Give an id of the items table.")
        likeness_N = self._scorer.likeness(row)
        others_N = np.ones(len(self.item_ids), np.bool_)
        others_N[row] = False
        rows = best_rows(likeness_N, others_N, int(k))
        return tuple(Similar(self.item_ids[r], float(likeness_N[r])) for r in rows)

    def rivals(self, events: Events = (), k: int = 10) -> dict[str, list[str]]:
        """What simpler methods would show: ids by method, best first, without the items of ``events``.

        ``popularity``, and ``item-kNN`` where the artifact holds neighbours: similarity to what was wanted,
        then popularity. Not tuned: `evaluate` compares with tuned ones.

        Raises:
            RequestError: k < 1, or an event cannot be understood.
        """
        check_k(k)
        support = self._read(events)
        shown_N = np.ones(len(self.item_ids), np.bool_)
        shown_N[support.item_row] = False
        scores = {"popularity": self.popularity}
        if self._neighbours is not None:
            liked_S = support.item_row[self.wanted[support.signal]]
            scores["item-kNN"] = self._neighbours.score(liked_S, len(self.item_ids))
        return {
            method: [self.item_ids[row] for row in in_order(scores_N, self.popularity, shown_N, int(k))]
            for method, scores_N in scores.items()
        }

    def _adapt(self, events: Events, user: User) -> Adapted:
        user_x = self._user_encoder.transform_one(user, self._average_F)
        return self._scorer.adapt(self._read(events), user_x)

    def _unused(self, user: User) -> tuple[str, ...]:
        return tuple(sorted(name for name in user if name not in self.user_kinds)) if user else ()

    def check(self, events: Events) -> None:
        """Raise RequestError if an event cannot be understood; items that are unknown are fine."""
        self._read(events)

    def _predictions(self, scores_K: NDArray[np.float32]) -> list[float] | list[None]:
        """The chance or the number that each score stands for; numbers within the data's scale."""
        objective = self._objective
        if objective.predicts == "order":
            return [None] * len(scores_K)
        predicted_K = objective.prediction(torch.from_numpy(scores_K)).numpy()
        if objective.predicts == "value":
            predicted_K = predicted_K.clip(np.nanmin(self.signals.value), np.nanmax(self.signals.value))
        return list(map(float, predicted_K))

    def _read(self, events: Events) -> Support:
        return read_events(events, self._rows, self.signals, self._default_signal)

    def _score(self, supports: Sequence[Support], users: Sequence[User]) -> NDArray[np.float32]:
        if not supports:
            return np.empty((0, len(self.item_ids)), np.float32)
        user_x = np.stack([self._user_encoder.transform_one(user, self._average_F) for user in users])
        return self._scorer.predict(list(supports), user_x)

    def _candidates(
        self, item_ids: Sequence[str] | None, filter: Filter | None
    ) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
        """Which items may be shown, None for all, and the candidates that are not in the catalogue."""
        matching_N = None if filter is None else self.filters.mask(filter)
        if item_ids is None:
            return matching_N, ()
        named = dict.fromkeys(map(str, item_ids))
        candidate_N = np.zeros(len(self.item_ids), np.bool_)
        candidate_N[[self._rows[item_id] for item_id in named if item_id in self._rows]] = True
        if matching_N is not None:
            candidate_N &= matching_N
        return candidate_N, tuple(item_id for item_id in named if item_id not in self._rows)

    def _because(
        self,
        adapted: Adapted,
        user: User,
        allowed_N: NDArray[np.bool_] | None,
        slate_K: NDArray[np.int64],
        exclude_seen: bool,
    ) -> list[tuple[Because, ...]]:
        support, scores_N = adapted.support, self._scorer.scores(adapted)
        candidate_N = np.ones(len(self.item_ids), np.bool_) if allowed_N is None else allowed_N

        def score(supports: list[Support]) -> NDArray[np.float32]:
            return self._score(supports, [user] * len(supports))

        left_out = leave_one_out(support, score, scores_N, candidate_N, slate_K, exclude_seen)
        event_ids = [self.item_ids[row] for row in support.item_row[left_out.event]]
        return [
            tuple(
                Because(
                    event_ids[s],
                    float(left_out.score_change[s, place]),
                    int(left_out.rank_without[s, place]),
                )
                for s in left_out.strongest(place)
            )
            for place in range(len(slate_K))
        ]


def check_k(k: object) -> None:
    """Raise RequestError unless k is a whole number from 1."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise RequestError(f"k = {k!r}", fix="Ask for at least one item.")
