"""The recommender: a user's events in, a ranked catalogue out.

Stateless: a user's posterior is computed in the call and forgotten. Knows nothing of Ray or HTTP.

Shapes: B users, S support, N catalogue, F user features, K slate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.artifact import Artifact, load_artifact
from engine.data.episodes import support_only
from engine.data.events import Support, read_events
from engine.errors import RequestError
from engine.ranking.explain import leave_one_out
from engine.ranking.slate import Because, Recommendation, Slate, best_rows, unseen

Events = Sequence[Mapping[str, object]]
User = Mapping[str, object] | None

TITLE_COLUMNS = ("title", "name", "item_name", "product_name", "headline")


class Recommender:
    """Adapts the prior to a user's events and ranks the whole catalogue.

    Events are ``{"item_id", "value" or "event", "timestamp"?}``, in time order where each is dated,
    else as given, oldest first; one with neither value nor event is what people most often want (a like).
    Items that are not in the catalogue are ignored and reported. No events is fine: the answer is the
    prior's. ``user`` holds the user's raw features, as in the users table.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.manifest = artifact.manifest
        self.catalogue = artifact.items
        self.signals = artifact.signals
        self._default_signal = artifact.default_signal
        self.item_ids: list[str] = artifact.items["item_id"].to_pylist()
        self._rows = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self._user_encoder = artifact.user_encoder
        self._model = artifact.model
        with torch.inference_mode():
            self._view = self._model.view()

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Load an artifact.

        Raises:
            ArtifactError: it is missing, broken or of a newer format.
        """
        return cls(load_artifact(Path(folder)))

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

    def score(self, events: Events, user: User = None) -> NDArray[np.float32]:
        """Score every item for one user, (N,); higher is better.

        Raises:
            RequestError: an event cannot be understood.
        """
        return np.asarray(self.score_batch([events], [user])[0])

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
    ) -> Slate:
        """The K best items for one user.

        Args:
            events: what the user did.
            user: the user's features.
            k: at most this many items, at least 1.
            exclude_seen: leave out the items of ``events``.
            explain: give for each item the events that matter most, of the latest 50.
            candidates: rank these items only; unknown ones are ignored and reported.

        Raises:
            RequestError: k < 1, or an event cannot be understood.
        """
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise RequestError(f"k = {k!r}", fix="Ask for at least one item.")
        support = self._read(events)
        candidate_N, unknown = self._candidates(candidates)
        scores_N = self._score([support], [user])[0]
        slate_K = best_rows(scores_N, unseen(candidate_N, support) if exclude_seen else candidate_N, int(k))
        because = (
            self._because(support, user, scores_N, candidate_N, slate_K, exclude_seen) if explain else None
        )
        items = tuple(
            Recommendation(
                self.item_ids[row],
                float(scores_N[row]),
                because[place] if because else (),
                predicted,
            )
            for place, (row, predicted) in enumerate(
                zip(slate_K, self._predictions(scores_N[slate_K]), strict=True)
            )
        )
        unused = tuple(sorted(name for name in user or () if name not in self.user_kinds))
        return Slate(items, len(support.item_row), support.ignored, unknown, unused)

    def _predictions(self, scores_K: NDArray[np.float32]) -> list[float] | list[None]:
        """The chance or the number that each score stands for; numbers within the data's scale."""
        objective = self._model.objective
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
        average_F = self._model.prior.x_mean_F.numpy()
        user_x = np.stack([self._user_encoder.transform_one(user, average_F) for user in users])
        episodes = support_only(
            [s.item_row for s in supports],
            [s.signal for s in supports],
            user_x,
            [s.timestamp for s in supports],
        )
        with torch.inference_mode():
            return np.asarray(self._model.predict(self._view, episodes).numpy())

    def _candidates(self, item_ids: Sequence[str] | None) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        candidate_N = np.full(len(self.item_ids), item_ids is None)
        named = dict.fromkeys(map(str, item_ids or ()))
        candidate_N[[self._rows[item_id] for item_id in named if item_id in self._rows]] = True
        return candidate_N, tuple(item_id for item_id in named if item_id not in self._rows)

    def _because(
        self,
        support: Support,
        user: User,
        scores_N: NDArray[np.float32],
        candidate_N: NDArray[np.bool_],
        slate_K: NDArray[np.int64],
        exclude_seen: bool,
    ) -> list[tuple[Because, ...]]:
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
