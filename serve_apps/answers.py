"""What callers get.

Knows nothing of how it came about. Python callers get the same classes from ``client``, which overlooks
fields that a newer server may add.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serve_apps.roll_out import RollOut


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Reason(_Answer):
    """The item's score and rank compared with those it would have had without this event."""

    item_id: str
    title: str | None = None
    score_change: float = Field(description="Score less the score without this event.")
    rank_without: int = Field(description="The item's rank without this event; 1 is the best.")


class RecommendedItem(_Answer):
    item_id: str
    title: str | None = None
    score: float = Field(description="Higher is better; comparable within one answer only.")
    prediction: float | None = Field(
        None,
        description="The chance that the person will want the item (objective click), or the number that the "
        "person would give it (objective rating).",
    )
    uncertainty: float | None = Field(
        None, description="Standard deviation of the score; only with uncertainty or explore."
    )
    because: list[Reason] | None = Field(None, description="Only where explain was asked for.")


class IgnoredEvent(_Answer):
    item_id: str
    reason: str


class RecommendAnswer(_Answer):
    items: list[RecommendedItem] = Field(description="The slate, best first.")
    model_version: str
    shots: int = Field(description="Number of events that were used.")
    ignored_events: list[IgnoredEvent] = Field(description="Events that could not be used.")
    ignored_candidates: list[str] = Field(description="Candidates that are not in the catalogue.")
    ignored_features: list[str] = Field(description="Features of the person that the model does not know.")
    latency_ms: float = Field(description="Adapting and ranking, without HTTP.")


class Question(_Answer):
    item_id: str
    title: str | None = None
    gain: float = Field(description="How much the answer is expected to tell; after those before it.")
    known: float = Field(description="The chance that the person knows the item.")


class ElicitAnswer(_Answer):
    items: list[Question] = Field(description="What to ask about, the most telling first, chosen as a set.")
    model_version: str
    shots: int = Field(description="Number of events that were used.")
    ignored_events: list[IgnoredEvent] = Field(description="Events that could not be used.")
    ignored_candidates: list[str] = Field(description="Candidates that are not in the catalogue.")
    ignored_features: list[str] = Field(description="Features of the person that the model does not know.")


class SimilarItem(_Answer):
    item_id: str
    title: str | None = None
    similarity: float = Field(description="How far people's scores of the two go together, -1 to 1.")


class SimilarAnswer(_Answer):
    items: list[SimilarItem] = Field(description="The most similar first.")
    model_version: str


class EventReceipt(_Answer):
    event_id: str = Field(description="The event's own, or one made for it.")
    new: bool = Field(description="False where an event of this id was kept before: nothing has changed.")


class EventsAnswer(_Answer):
    events: list[EventReceipt] = Field(description="In the order sent.")


class StoredEvent(_Answer):
    event_id: str
    item_id: str
    value: float | None = None
    event: str | None = None
    timestamp: float | None = None


class UserAnswer(_Answer):
    user_id: str
    events: list[StoredEvent] = Field(description="All that is kept of the person, oldest first.")


class DeletionAnswer(_Answer):
    """The record of a deletion; it holds no id."""

    at: str = Field(description="When, UTC.")
    subject: str = Field(description="sha256 of the user's id, in hexadecimal.")
    events: int = Field(description="Number of events that were deleted.")
    by: str = Field(description="Name of the API key that asked for it.")


class DeletionsAnswer(_Answer):
    deletions: list[DeletionAnswer] = Field(description="Newest first.")


class CatalogueItem(_Answer):
    item_id: str
    title: str | None = None
    features: dict[str, Any] | None = Field(
        None, description="As in the items table, without vectors and long text; only where asked for."
    )


class ItemsAnswer(_Answer):
    items: list[CatalogueItem]


class ComparedList(_Answer):
    method: str = Field(description="popularity or item-kNN.")
    items: list[CatalogueItem] = Field(description="Best first.")


class CompareAnswer(_Answer):
    lists: list[ComparedList] = Field(description="One of each method that the artifact knows enough for.")
    model_version: str


class ShadowReport(_Answer):
    """How a shadow compares with what was answered, in the replica that was asked."""

    model_version: str
    compared: int
    skipped: int = Field(description="Requests that came while it was busy with another.")
    failed: int
    overlap: float = Field(description="Mean share of the answered items that it would have shown, too.")
    same_first: float = Field(description="Share of answers with the same first item.")
    latency_ms: float = Field(description="Mean time of adapting and ranking.")


class VersionAnswer(_Answer):
    model_version: str
    created_at: str | None = None
    quality: dict[str, Any] | None = None


class ModelsAnswer(_Answer):
    versions: list[VersionAnswer] = Field(description="What the registry holds, the latest last.")
    in_use: RollOut = Field(description="What answers in the replica that was asked.")
    pinned: bool = Field(description="Set by the Serve config's user_config: the registry is not followed.")
    refused: str | None = Field(None, description="Why the last change was not made.")
    shadow: ShadowReport | None = None


class Signal(_Answer):
    """A kind of event: a number (``value``; of binned numbers the bin's mean) or a name (``event``)."""

    name: str
    value: float | None = None
    event: str | None = None
    wanted: bool = Field(description="Counts as wanting the item.")


class ModelAnswer(_Answer):
    model_version: str
    n_items: int
    signals: list[Signal] = Field(description="The kinds of events that requests may tell.")
    knows_uncertainty: bool = Field(description="Answers uncertainty, explore and /v1/elicit.")
    recall: float = Field(1.0, description="Share of the 20 best items that is found, as measured; 1: all.")
    manifest: dict[str, Any] = Field(description="The artifact's manifest: data, configuration, quality.")


class StatusAnswer(_Answer):
    status: str
    model_version: str | None = None
