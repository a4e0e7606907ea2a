"""A client for the HTTP interface: typed, in two forms, patient.

    from serve_apps.client import Client

    with Client("https://recommend.example", key="fc_...") as client:
        client.add_events([{"user_id": "u-1", "item_id": "50", "value": 5}])
        for item in client.recommend(user_id="u-1", k=10).items:
            print(item.item_id, item.title, item.score)

``AsyncClient`` has the same methods as coroutines. What failed on the way or was refused for the moment
(408, 429, 502, 503, 504) is tried again, after a pause that grows, is drawn by chance, and is never shorter
than the server asks for (``Retry-After``, in seconds); a server that asks for more than the timeout is not
waited for: its refusal is raised, and holds ``retry_after_s``. That is safe: events get their ids here, so
that none counts twice. Brings neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Unpack

import httpx
import tenacity

from engine.errors import FirstclickError
from serve_apps import calls
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
from serve_apps.calls import Answer, Call

RETRIED = {408, 429, 502, 503, 504}
PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0  # drawn by chance, beyond what the server asks for


class ApiError(FirstclickError):
    """The server refused; ``status`` says how and ``problem`` holds its RFC 9457 details."""

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.problem = response.status_code, _problem(response)
        self.retry_after_s = _seconds(response.headers.get("retry-after"))
        what = str(self.problem.get("detail") or response.reason_phrase).rstrip(".")
        super().__init__(what, where=f"{response.request.method} {response.url.path}: {self.status}")


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0


def _is_passing(error: BaseException, patience_s: float) -> bool:
    if isinstance(error, ApiError):  # a 500 without a problem is a proxy's, whose replica went away
        passes = error.status in RETRIED or (error.status == 500 and not error.problem)
        return passes and error.retry_after_s <= patience_s
    return isinstance(error, httpx.TransportError)


_jitter = tenacity.wait_random_exponential(multiplier=PAUSE_S, max=LONGEST_PAUSE_S)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, ApiError) else 0.0
    return asked_s + float(_jitter(state))


def _options(url: str, key: str | None, timeout_s: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": headers, "timeout": timeout_s}


def _read(call: Call[Answer], response: httpx.Response) -> Answer:
    if not response.is_success:
        raise ApiError(response)
    return call.answer.model_validate_json(response.content)


def _policy(attempts: int, patience_s: float) -> dict[str, Any]:
    return {
        "stop": tenacity.stop_after_attempt(attempts),
        "wait": _pause,
        "retry": tenacity.retry_if_exception(lambda error: _is_passing(error, patience_s)),
        "reraise": True,
    }


class Client:
    """Calls the server at ``url``.

    Args:
        url: where it is.
        key: an API key, where it asks for one.
        timeout_s: for each attempt, and the longest pause that the server may ask for.
        attempts: how often a call is tried in all.
        transport: what sends, for tests.

    Every method raises ApiError where the server refuses, and httpx.TransportError where it cannot be
    reached.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 10.0,
        attempts: int = 6,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**_options(url, key, timeout_s), transport=transport)
        self._retrying = tenacity.Retrying(**_policy(attempts, timeout_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def recommend(self, **fields: Unpack[calls.Recommend]) -> RecommendAnswer:
        """The slate for a person."""
        return self._send(calls.recommend(fields))

    def elicit(self, **fields: Unpack[calls.Elicit]) -> ElicitAnswer:
        """What to ask a person about next."""
        return self._send(calls.elicit(fields))

    def compare(self, **fields: Unpack[calls.Compare]) -> CompareAnswer:
        """What popularity and item-kNN would show to the same person."""
        return self._send(calls.compare(fields))

    def add_events(self, events: Sequence[calls.KeptEvent]) -> EventsAnswer:
        """Keep events; they count in the next request."""
        return self._send(calls.add_events(events))

    def user_events(self, user_id: str) -> UserAnswer:
        """All that is kept of a person. Needs an admin key."""
        return self._send(calls.user_events(user_id))

    def delete_user(self, user_id: str) -> DeletionAnswer:
        """Delete all that is kept of a person. Needs an admin key."""
        return self._send(calls.delete_user(user_id))

    def items(self, query: str = "", limit: int = 20) -> ItemsAnswer:
        """Find items by id or title."""
        return self._send(calls.items(query, limit))

    def similar(self, item_id: str, k: int = 10) -> SimilarAnswer:
        """Items that go with one."""
        return self._send(calls.similar(item_id, k))

    def model(self) -> ModelAnswer:
        """Which model answers."""
        return self._send(calls.model())

    def models(self) -> ModelsAnswer:
        """Which versions there are and which are in use. Needs an admin key."""
        return self._send(calls.models())

    def roll_out(self, **fields: Unpack[calls.RollOutFields]) -> ModelsAnswer:
        """Put versions to use. Needs an admin key."""
        return self._send(calls.roll_out(fields))

    def _send(self, call: Call[Answer]) -> Answer:
        return self._retrying(self._try, call)

    def _try(self, call: Call[Answer]) -> Answer:
        return _read(call, self._http.request(call.method, call.path, json=call.json, params=call.params))


class AsyncClient:
    """`Client` as coroutines."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 10.0,
        attempts: int = 6,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**_options(url, key, timeout_s), transport=transport)
        self._retrying = tenacity.AsyncRetrying(**_policy(attempts, timeout_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def recommend(self, **fields: Unpack[calls.Recommend]) -> RecommendAnswer:
        return await self._send(calls.recommend(fields))

    async def elicit(self, **fields: Unpack[calls.Elicit]) -> ElicitAnswer:
        return await self._send(calls.elicit(fields))

    async def compare(self, **fields: Unpack[calls.Compare]) -> CompareAnswer:
        return await self._send(calls.compare(fields))

    async def add_events(self, events: Sequence[calls.KeptEvent]) -> EventsAnswer:
        return await self._send(calls.add_events(events))

    async def user_events(self, user_id: str) -> UserAnswer:
        return await self._send(calls.user_events(user_id))

    async def delete_user(self, user_id: str) -> DeletionAnswer:
        return await self._send(calls.delete_user(user_id))

    async def items(self, query: str = "", limit: int = 20) -> ItemsAnswer:
        return await self._send(calls.items(query, limit))

    async def similar(self, item_id: str, k: int = 10) -> SimilarAnswer:
        return await self._send(calls.similar(item_id, k))

    async def model(self) -> ModelAnswer:
        return await self._send(calls.model())

    async def models(self) -> ModelsAnswer:
        return await self._send(calls.models())

    async def roll_out(self, **fields: Unpack[calls.RollOutFields]) -> ModelsAnswer:
        return await self._send(calls.roll_out(fields))

    async def _send(self, call: Call[Answer]) -> Answer:
        return await self._retrying(self._try, call)

    async def _try(self, call: Call[Answer]) -> Answer:
        answer = await self._http.request(call.method, call.path, json=call.json, params=call.params)
        return _read(call, answer)
