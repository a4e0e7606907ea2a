"""What goes over the wire: requests with their limits, answers with their fields.

Knows nothing of the recommender, of Ray or of HTTP status codes. Requests are strict: an unknown field, a
string for a number, NaN or infinity are refused, so that a typo is an error and never a silent default.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

K_MAX = 1000
K_EXPLAINED_MAX = 100
EVENTS_MAX = 1000
CANDIDATES_MAX = 20_000
FEATURES_MAX = 256
FEATURE_LIST_MAX = 4096
TEXT_MAX = 10_000


def _integer_id_as_text(value: object) -> object:
    """Ids are strings inside; a JSON integer is taken as its decimal text (but ``true`` is not 1)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _finite_scalar(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= TEXT_MAX
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _feature(value: Any) -> Any:
    """One raw feature: a scalar, or a flat list of scalars (tags, a vector)."""
    if isinstance(value, list) and len(value) <= FEATURE_LIST_MAX and all(map(_finite_scalar, value)):
        return value
    if isinstance(value, list) or not _finite_scalar(value):
        raise ValueError(
            f"a feature must be a text of up to {TEXT_MAX} characters, a finite number, true, false, null, "
            f"or a flat list of up to {FEATURE_LIST_MAX} of these"
        )
    return value


_SCALAR_SCHEMAS = [{"type": kind} for kind in ("string", "number", "boolean", "null")]

ItemId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    BeforeValidator(_integer_id_as_text),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": 256}, {"type": "integer"}]}),
]
Feature = Annotated[
    Any,
    AfterValidator(_feature),
    WithJsonSchema({"anyOf": [*_SCALAR_SCHEMAS, {"type": "array", "items": {"anyOf": _SCALAR_SCHEMAS}}]}),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Event(_Request):
    """Something the person did: a number (``value``: a rating, a play count) or a named kind (``event``)."""

    item_id: ItemId
    value: float | None = Field(None, allow_inf_nan=False, description="A number, such as a rating.")
    event: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = Field(
        None, description="A named kind of event, such as LIKE."
    )
    timestamp: float | None = Field(
        None, ge=-1e11, le=1e11, allow_inf_nan=False, description="Unix seconds (not milliseconds)."
    )


class RecommendRequest(_Request):
    """Whom to recommend to: the events so far, and what else is known. No events is fine."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [{"item_id": "50", "value": 5}, {"item_id": "181", "value": 4}],
                    "k": 5,
                    "explain": True,
                },
                {
                    "events": [{"item_id": "a-17", "event": "LIKE", "timestamp": 1735689600}],
                    "user": {"age": 31},
                },
            ]
        }
    )

    events: list[Event] = Field(default=[], max_length=EVENTS_MAX, description="In any order if dated.")
    user: dict[str, Feature] | None = Field(
        None, max_length=FEATURES_MAX, description="Features of the person, as in the training data."
    )
    k: int = Field(10, ge=1, le=K_MAX, description="Length of the slate.")
    exclude_seen: bool = Field(True, description="Leave out the items of the events.")
    candidates: list[ItemId] | None = Field(
        None, max_length=CANDIDATES_MAX, description="Rank only these items; default: the whole catalogue."
    )
    explain: bool = Field(
        False, description=f"Say which events put each item where it is; needs k <= {K_EXPLAINED_MAX}."
    )

    @model_validator(mode="after")
    def _explained_slates_are_short(self) -> Self:
        if self.explain and self.k > K_EXPLAINED_MAX:
            raise ValueError(f"with explain, k is at most {K_EXPLAINED_MAX}")
        return self


class ItemsQuery(BaseModel):
    """What to search the catalogue for. Not strict: numbers in a query string are text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(
        "",
        max_length=200,
        description="An id, or words of a title; empty lists the catalogue.",
        examples=["star wars"],
    )
    limit: int = Field(20, ge=1, le=100)


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


class CatalogueItem(_Answer):
    item_id: str
    title: str | None = None


class ItemsAnswer(_Answer):
    items: list[CatalogueItem]


class ModelAnswer(_Answer):
    model_version: str
    n_items: int
    manifest: dict[str, Any] = Field(description="The artifact's manifest: data, configuration, quality.")


class StatusAnswer(_Answer):
    status: str
    model_version: str | None = None
