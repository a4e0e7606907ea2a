"""What is known of a request besides its content, kept in its ASGI scope: its id, its caller, its path's
pattern.

None of it is personal data: the pattern stands for the path, which may hold a user's id.
"""

from __future__ import annotations

import os
import re
import time

from starlette.types import Scope

REQUEST_ID = "X-Request-ID"
_HEADER = REQUEST_ID.lower().encode()
NOBODY = "nobody"  # the caller where no API keys are asked for

_ID, _CALLER, _STARTED = "firstclick.request_id", "firstclick.caller", "firstclick.started"
_HEADERS = "firstclick.headers"
_GOOD_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of this name, in small letters; empty where there is none."""
    headers = scope.get(_HEADERS)
    if headers is None:
        headers = scope[_HEADERS] = dict(reversed(scope["headers"]))
    return bytes(headers.get(name, b""))


def request_id(scope: Scope) -> str:
    """The id that the caller sent, if it is short and plain; else one made here, the same at every call."""
    if _ID not in scope:
        sent = header(scope, _HEADER).decode("latin-1")
        scope[_ID] = sent if _GOOD_ID.fullmatch(sent) else os.urandom(16).hex()
    return str(scope[_ID])


def start(scope: Scope) -> None:
    scope[_STARTED] = time.perf_counter()


def age_s(scope: Scope) -> float:
    """Seconds since the request came to the application."""
    return time.perf_counter() - float(scope[_STARTED])


def set_caller(scope: Scope, name: str) -> None:
    scope[_CALLER] = name


def caller(scope: Scope) -> str:
    """The name of the API key that the request came with."""
    return str(scope.get(_CALLER, NOBODY))


def route_path(scope: Scope) -> str:
    """The path without the prefix that the application is mounted under, as the router sees it."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    rest = path.removeprefix(root)
    return rest if rest.startswith("/") else path


def pattern(scope: Scope) -> str:
    """The path as the interface spells it (``/v1/users/{user_id}``); ``-`` where there is none."""
    return str(getattr(scope.get("route"), "path", "-")).replace(":path}", "}")
