"""The client: every method on the real paths, and patience with a server that fails for a while."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_apps import client as client_module
from serve_apps.client import ApiError, AsyncClient, Client
from serve_apps.event_store import open_store
from serve_apps.ingress import create_app
from serve_apps.model_registry import ModelRegistry
from serve_apps.models import Models
from serve_apps.service import Service


@pytest.fixture
def app(artifacts: list[str], tmp_path: Path) -> Iterator[Any]:
    """The real paths on real models, in this process."""
    from engine import Recommender

    registry = ModelRegistry(tmp_path / "registry")
    versions = [registry.add(Path(artifact)) for artifact in artifacts]
    registry.promote(versions[0])
    models = Models(Recommender.load, registry=registry)
    models.start()
    store = open_store(str(tmp_path / "events.sqlite"))
    yield create_app(Service(models, store))
    asyncio.run(store.close())


def test_every_method_is_answered_with_its_type(app) -> None:
    async def use() -> None:
        async with AsyncClient("http://test", transport=httpx.ASGITransport(app)) as client:
            user = "a/b ü"
            receipts = await client.add_events([{"user_id": user, "item_id": 103, "value": 5}])
            assert [receipt.new for receipt in receipts.events] == [True]
            slate = await client.recommend(user_id=user, k=3, explain=True, filter={"genre": "drama"})
            assert (len(slate.items), slate.shots) == (3, 1)
            assert slate.items[0].because[0].item_id == "103"
            questions = await client.elicit(user_id=user, k=2, asked=["104"])
            assert len(questions.items) == 2
            lists = (await client.compare(user_id=user, k=4)).lists
            assert [(one.method, len(one.items)) for one in lists] == [("popularity", 4), ("item-kNN", 4)]
            assert "103" not in {item.item_id for one in lists for item in one.items}
            assert [e.item_id for e in (await client.user_events(user)).events] == ["103"]
            assert (await client.delete_user(user)).events == 1
            assert (await client.user_events(user)).events == []
            assert (await client.items("film 3", limit=1)).items[0].item_id == "103"
            assert len((await client.similar("103", k=2)).items) == 2
            version = (await client.model()).model_version
            assert (await client.models()).in_use.live == version
            other = next(
                v.model_version for v in (await client.models()).versions if v.model_version != version
            )
            assert (await client.roll_out(live=other)).in_use.live == other
            with pytest.raises(ApiError, match=r"There is no such item.*similar: 404") as caught:
                await client.similar("nope")
            assert (caught.value.status, caught.value.problem["title"]) == (404, "Not Found")

    asyncio.run(use())


def test_both_forms_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Client) == public(AsyncClient)


class Server:
    """Answers from a script, one entry an attempt: a status, an error to raise, or an answer."""

    def __init__(self, *script: Any) -> None:
        self._script, self.requests = list(script), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        status, headers, body = step
        return httpx.Response(status, headers=headers, json=body)


OK = (200, {}, {"events": [{"event_id": "e", "new": True}]})
BUSY = (503, {}, {"detail": "No model is loaded yet."})
EVENT = {"user_id": "u", "item_id": "1"}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made in this thread, without making them."""
    made: list[float] = []
    here, really = threading.get_ident(), time.sleep

    def pause(seconds: float) -> None:
        if threading.get_ident() == here:
            made.append(seconds)
        else:
            really(seconds)

    async def sleep(seconds: float) -> None:
        pause(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


Send = Callable[[Server], Any]


def send_sync(server: Server) -> Any:
    with Client("http://test", "fc_k", attempts=4, transport=httpx.MockTransport(server)) as client:
        return client.add_events([EVENT])


def send_async(server: Server) -> Any:
    async def use() -> Any:
        transport = httpx.MockTransport(server)
        async with AsyncClient("http://test", "fc_k", attempts=4, transport=transport) as client:
            return await client.add_events([EVENT])

    return asyncio.run(use())


@pytest.fixture(params=[send_sync, send_async])
def send(request: pytest.FixtureRequest) -> Send:
    return request.param


def test_what_fails_for_a_while_is_sent_again_unchanged(send: Send, pauses) -> None:
    server = Server(httpx.ConnectError("refused"), BUSY, httpx.ReadError("reset"), OK)
    assert send(server).events[0].new
    bodies = {request.content for request in server.requests}
    assert len(server.requests) == 4
    assert len(bodies) == 1, "the same event id each time"
    assert b"event_id" in bodies.pop()
    assert server.requests[0].headers["authorization"] == "Bearer fc_k"
    assert len(pauses) == 3
    assert all(0 <= pause <= client_module.LONGEST_PAUSE_S for pause in pauses)


def test_a_500_of_a_proxy_is_tried_again(send: Send, pauses) -> None:
    assert send(Server((500, {}, None), (500, {}, "Internal Server Error"), OK)).events[0].new


def test_the_server_is_asked_again_no_sooner_than_it_says(send: Send, pauses) -> None:
    server = Server((429, {"retry-after": "9"}, {}), (503, {"retry-after": "nonsense"}, {}), OK)
    send(server)
    assert pauses[0] >= 9
    assert pauses[1] < 1


def test_a_server_that_asks_for_more_than_the_timeout_is_not_waited_for(send: Send, pauses) -> None:
    with pytest.raises(ApiError, match="Come back later") as caught:
        send(Server((503, {"retry-after": "3600"}, {"detail": "Come back later."}), OK))
    assert (caught.value.retry_after_s, pauses) == (3600, [])


def test_patience_ends_with_the_servers_own_words(send: Send, pauses) -> None:
    with pytest.raises(ApiError, match="No model is loaded yet") as caught:
        send(Server(*[BUSY] * 4))
    assert caught.value.status == 503
    with pytest.raises(httpx.ConnectError):
        send(Server(*[httpx.ConnectError("refused")] * 4))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_what_will_not_get_better_is_not_sent_again(send: Send, pauses, status: int) -> None:
    server = Server((status, {}, {"detail": "no"}))
    with pytest.raises(ApiError) as caught:
        send(server)
    assert (caught.value.status, pauses) == (status, [])


def test_answers_of_a_newer_server_are_understood(send: Send) -> None:
    newer = (200, {}, {"events": [{"event_id": "e", "new": True, "novel": 1}], "more": []})
    assert send(Server(newer)).events[0].event_id == "e"


def test_a_client_brings_neither_torch_nor_ray() -> None:
    code = "import sys, serve_apps.client; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2], timeout=60).returncode == 0
