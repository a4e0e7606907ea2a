"""The application on a real port of this machine, and a real browser that opens it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from engine import Recommender
from serve_apps.event_store import open_store
from serve_apps.ingress import create_app
from serve_apps.models import Models
from serve_apps.security.api_keys import ApiKeys
from serve_apps.service import Service
from tests.ports import free_port

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Visit = Callable[..., Page]


@contextmanager
def listening(service: Service, keys: ApiKeys | None = None) -> Iterator[str]:
    """The URL at which uvicorn, in a thread, answers for ``service``."""
    port = free_port()
    app = create_app(service, keys=keys)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


def loaded(artifact: str) -> Models:
    models = Models(Recommender.load, Path(artifact))
    models.start()
    return models


@pytest.fixture(scope="session")
def url(real_artifact: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that keeps events."""
    store = open_store(str(tmp_path_factory.mktemp("playground") / "events.sqlite"))
    with listening(Service(loaded(real_artifact), store)) as there:
        yield there


@pytest.fixture(scope="session")
def plain_url(real_artifact: str) -> Iterator[str]:
    """A server that keeps nothing."""
    with listening(Service(loaded(real_artifact))) as there:
        yield there


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path: make chromium, as root on Debian, installs it")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    """Opens the page in a context of its own; at the end no error was logged and no other host was asked."""
    faults: list[str] = []
    contexts = []

    def opened(at: str = url, width: int = 1280, height: int = 900, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(at) else faults.append(f"asked {r.url}"))
        page.goto(at)
        page.wait_for_selector("#slate[data-turn]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
