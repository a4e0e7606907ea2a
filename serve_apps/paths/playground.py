"""The playground: a page to try the recommender with, at ``/``, and its files.

The page needs no key itself, for it holds nothing of the model; what it asks for then does. Browsers check
with every use whether a file has changed, and may load nothing from elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

FOLDER = Path(__file__).parents[1] / "playground"
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageFiles(StaticFiles):
    """Static files with ``HEADERS``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await super().__call__(scope, receive, with_headers)


def playground() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    files = PageFiles(directory=FOLDER)

    @router.get("/")
    async def page(request: Request) -> Response:
        answer = await files.get_response("index.html", request.scope)
        answer.headers.update(HEADERS)
        return answer

    router.mount("/playground", files)
    return router
