"""What callers send, with its limits.

Knows nothing of the recommender, of Ray or of HTTP status codes. Strict: an unknown field, a string for a
number, NaN or infinity are refused, so that a typo is an error and never a silent default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator, with_config
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from engine.data.events import FIELDS
from serve_apps.fields import Feature, Id, Name, Scalar

K_MAX = 1000
K_EXPLAINED_MAX = 100
EVENTS_MAX = 1000
CANDIDATES_MAX = 20_000
FEATURES_MAX = 256
FILTERS_MAX = 16
QUESTIONS_MAX = 50

Seed = Annotated[
    int | None,
    Field(ge=0, lt=2**63, description="The same seed, the same draw; default: a new draw each time."),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Number = Annotated[float, Field(allow_inf_nan=False)]


@with_config(extra="forbid", strict=True)
class Event(TypedDict):
    """Something the person did: a number (``value``: a rating, a play count) or a named kind (``event``).

    A dictionary, as requests hold many of them and the recommender takes them so.
    """

    item_id: Id
    value: NotRequired[Annotated[Number | None, Field(description="A number, such as a rating.")]]
    event: NotRequired[Annotated[Name | None, Field(description="A named kind of event, such as LIKE.")]]
    timestamp: NotRequired[
        Annotated[
            Annotated[Number, Field(ge=-1e11, le=1e11)] | None,
            Field(description="Unix seconds (not milliseconds)."),
        ]
    ]
    event_id: NotRequired[
        Annotated[
            Id | None,
            Field(
                description="Of your making; an event of this id that is stored for the person counts once."
            ),
        ]
    ]


@with_config(
    extra="forbid",
    strict=True,
    json_schema_extra={
        "examples": [
            {"user_id": "u-1", "item_id": "50", "value": 5, "event_id": "order-7"},
            {"user_id": "u-2", "item_id": "a-17", "event": "LIKE", "timestamp": 1735689600},
        ]
    },
)
class UserEvent(Event):
    """An event to keep, of the person that ``user_id`` names."""

    user_id: Id


def body(event: Event) -> dict[str, Any]:
    """What the recommender understands: the event without ids of events and people."""
    return {name: told for name, told in event.items() if name in FIELDS and told is not None}


def bodies(events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
    """`body` of each."""
    if all([len(event) == 2 and event.get("value") is not None for event in events]):  # noqa: C419 - faster
        return events
    return [body(event) for event in events]


StoredEvents = Annotated[list[UserEvent], Field(min_length=1, max_length=EVENTS_MAX)]


class Person(_Request):
    """Whom a request is about: by the id under which events are stored, by events, or both."""

    user_id: Id | None = Field(
        None, description="Stored events of this person count, before those sent here."
    )
    events: list[Event] = Field(default=[], max_length=EVENTS_MAX, description="In any order if dated.")
    user: dict[str, Feature] | None = Field(
        None, max_length=FEATURES_MAX, description="Features of the person, as in the training data."
    )


class Range(_Request):
    """Numbers from ``min`` to ``max``, both included; either may be left out."""

    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        return self


Condition = Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=FEATURES_MAX)] | Range


class Explore(_Request):
    """How to explore: by one draw from what the person may be like, or by the best each item may well be."""

    method: Literal["thompson", "ucb"]
    strength: float = Field(1.0, ge=0, le=1e6, description="0: not at all.")
    seed: Seed = None


class Choice(Person):
    """Which items come into question."""

    candidates: list[Id] | None = Field(
        None, max_length=CANDIDATES_MAX, description="Only these items; default: the whole catalogue."
    )
    filter: dict[Name, Condition] | None = Field(
        None,
        max_length=FILTERS_MAX,
        description="Only items with these features: a value, any of a list of values, or a range.",
    )

    def conditions(self) -> dict[str, Any] | None:
        """``filter`` as the recommender takes it."""
        if self.filter is None:
            return None
        return {
            name: condition.model_dump(exclude_none=True) if isinstance(condition, Range) else condition
            for name, condition in self.filter.items()
        }


class RecommendRequest(Choice):
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
                {
                    "user_id": "u-1",
                    "filter": {"genre": ["comedy", "drama"], "year": {"min": 1990}},
                    "explore": {"method": "thompson"},
                },
            ]
        }
    )

    k: int = Field(10, ge=1, le=K_MAX, description="Length of the slate.")
    exclude_seen: bool = Field(True, description="Leave out the items of the events.")
    explore: Explore | None = Field(
        None, description="Show also what is not yet sure to be good, so that something is learned."
    )
    uncertainty: bool = Field(False, description="Give each score's standard deviation; so does explore.")
    explain: bool = Field(
        False, description=f"Say which events put each item where it is; needs k <= {K_EXPLAINED_MAX}."
    )

    @model_validator(mode="after")
    def _explained_slates_are_short(self) -> Self:
        if self.explain and self.k > K_EXPLAINED_MAX:
            raise ValueError(f"with explain, k is at most {K_EXPLAINED_MAX}")
        return self


class ElicitRequest(Choice):
    """Whom to ask about what. Items of the person's events are not asked about again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "u-1", "k": 3}, {"asked": ["50", "181"]}]}
    )

    k: int = Field(5, ge=1, le=QUESTIONS_MAX, description="Number of questions.")
    asked: list[Id] = Field(
        default=[], max_length=EVENTS_MAX, description="Items that the person could say nothing about."
    )
    seed: Seed = None


class CompareRequest(Person):
    """For whom other methods shall make their lists."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"events": [{"item_id": "50", "value": 5}], "k": 5}, {"user_id": "u-1"}]
        }
    )

    k: int = Field(10, ge=1, le=K_EXPLAINED_MAX, description="Length of each list.")


class SimilarQuery(BaseModel):
    """How many. Not strict: numbers in a query string are text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: int = Field(10, ge=1, le=K_EXPLAINED_MAX)


class ItemsQuery(BaseModel):
    """What to search the catalogue for. Not strict: numbers in a query string are text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(
        "",
        max_length=200,
        description="An id, or words of a title; empty lists the catalogue, the most popular first.",
        examples=["star wars"],
    )
    id: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        [], max_length=100, description="These items instead of a search; unknown ones are left out."
    )
    limit: int = Field(20, ge=1, le=100)
    features: bool = Field(False, description="Answer with the items' features.")
