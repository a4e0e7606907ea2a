"""The ASGI layer that lets through who has a key for the path, as often as the key may.

It stands before bodies are read. What is not listed here asks for a key: a new path is never open by
accident.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from serve_apps.problems import ProblemResponse
from serve_apps.security.api_keys import ApiKey, ApiKeys
from serve_apps.security.api_keys import Scope as KeyScope
from serve_apps.security.rate_limit import RateLimit
from serve_apps.trace import header, route_path, set_caller

OPEN = re.compile(r"/(|healthz|readyz|docs(/oauth2-redirect)?|openapi\.json|playground/[\w.-]+)", re.ASCII)
ADMIN = re.compile(r"/v1/(users|deletions|models)(/.*)?", re.DOTALL)


@lru_cache(maxsize=1000)  # most requests are to a few paths
def needed_scope(path: str) -> KeyScope | None:
    """The scope that a path asks for; None for what everyone may see."""
    if OPEN.fullmatch(path):
        return None
    return KeyScope.ADMIN if ADMIN.fullmatch(path) else KeyScope.READ


class Guard:
    """See the module. Leaves the key's name for ``trace.caller``."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, rate: RateLimit | None) -> None:
        self._app, self._keys, self._rate = app, keys, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        needed = needed_scope(route_path(scope)) if scope["type"] == "http" else None
        if needed is None:
            return await self._app(scope, receive, send)
        key = self._key(header(scope, b"authorization").decode("latin-1"))
        refusal = self._refusal(key, needed)
        if refusal is not None:
            return await refusal(scope, receive, send)
        set_caller(scope, f"{key.name} ({key.id})")
        return await self._app(scope, receive, send)

    def _key(self, authorization: str) -> ApiKey | None:
        scheme, _, text = authorization.partition(" ")
        return self._keys.find(text.strip()) if scheme.lower() == "bearer" else None

    def _refusal(self, key: ApiKey | None, needed: KeyScope) -> ProblemResponse | None:
        if key is None:
            detail = "Send a valid API key with the header Authorization: Bearer KEY."
            return ProblemResponse(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if not key.scope.includes(needed):
            return ProblemResponse(
                403, f"This needs a key with the scope '{needed}'; yours has '{key.scope}'."
            )
        wait_s = self._rate.wait_s(key.id) if self._rate else 0.0
        if wait_s:
            headers = {"Retry-After": str(math.ceil(wait_s))}
            return ProblemResponse(429, "Too many requests with this key. Try again later.", headers=headers)
        return None
