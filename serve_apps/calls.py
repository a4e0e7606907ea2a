"""The calls that a client can make, as values: what to send and what to understand the answer as.

Knows nothing of how a call is sent.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from serve_apps.answers import (
    CompareAnswer,
    DeletionAnswer,
    ElicitAnswer,
    EventsAnswer,
    ItemsAnswer,
    ModelAnswer,
    ModelsAnswer,
    RecommendAnswer,
    SimilarAnswer,
    UserAnswer,
)

Answer = TypeVar("Answer", bound=BaseModel)


class _SentEvent(TypedDict):
    item_id: str | int


class SentEvent(_SentEvent, total=False):
    """An event sent with a request: a ``value``, a named ``event``, or neither (what people mostly want)."""

    value: float
    event: str
    timestamp: float  # Unix seconds
    event_id: str


class _KeptEvent(SentEvent):
    user_id: str | int


class KeptEvent(_KeptEvent, total=False):
    """An event to keep."""


class WhoAndWhat(TypedDict, total=False):
    """The person and the items in question; see ``requests`` for each."""

    user_id: str | int
    events: Sequence[SentEvent]
    user: Mapping[str, Any]
    candidates: Sequence[str | int]
    filter: Mapping[str, Any]
    k: int


class Recommend(WhoAndWhat, total=False):
    exclude_seen: bool
    explore: Mapping[str, Any]
    uncertainty: bool
    explain: bool


class Elicit(WhoAndWhat, total=False):
    asked: Sequence[str | int]
    seed: int


class Compare(TypedDict, total=False):
    """The person for whom other methods shall make their lists."""

    user_id: str | int
    events: Sequence[SentEvent]
    user: Mapping[str, Any]
    k: int


class _RollOut(TypedDict):
    live: str


class RollOutFields(_RollOut, total=False):
    canary: Mapping[str, Any]  # {"version", "share"}
    shadow: str


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request; sending it twice does what sending it once does."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    answer: type[Answer]
    json: Any = None
    params: Mapping[str, Any] | None = None


def recommend(fields: Recommend) -> Call[RecommendAnswer]:
    return Call("POST", "/v1/recommend", RecommendAnswer, dict(fields))


def elicit(fields: Elicit) -> Call[ElicitAnswer]:
    return Call("POST", "/v1/elicit", ElicitAnswer, dict(fields))


def compare(fields: Compare) -> Call[CompareAnswer]:
    return Call("POST", "/v1/compare", CompareAnswer, dict(fields))


def add_events(events: Sequence[KeptEvent]) -> Call[EventsAnswer]:
    named = [{"event_id": uuid.uuid4().hex, **event} for event in events]
    return Call("POST", "/v1/events", EventsAnswer, named)


def user_events(user_id: str) -> Call[UserAnswer]:
    return Call("GET", f"/v1/users/{_part(user_id)}/events", UserAnswer)


def delete_user(user_id: str) -> Call[DeletionAnswer]:
    return Call("DELETE", f"/v1/users/{_part(user_id)}/events", DeletionAnswer)


def items(query: str, limit: int) -> Call[ItemsAnswer]:
    return Call("GET", "/v1/items", ItemsAnswer, params={"query": query, "limit": limit})


def similar(item_id: str, k: int) -> Call[SimilarAnswer]:
    return Call("GET", f"/v1/items/{_part(item_id)}/similar", SimilarAnswer, params={"k": k})


def model() -> Call[ModelAnswer]:
    return Call("GET", "/v1/model", ModelAnswer)


def models() -> Call[ModelsAnswer]:
    return Call("GET", "/v1/models", ModelsAnswer)


def roll_out(fields: RollOutFields) -> Call[ModelsAnswer]:
    return Call("PUT", "/v1/models/roll-out", ModelsAnswer, dict(fields))


def _part(text: str) -> str:
    return quote(str(text), safe="")
