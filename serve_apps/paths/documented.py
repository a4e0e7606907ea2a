"""What paths may answer with besides success, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from serve_apps.problems import Problem

BODY = {
    400: "The body is not valid JSON.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
}
INVALID = {422: "A field or parameter is missing, unknown, of the wrong type or out of range."}
ABSENT = {404: "What is asked for is not there, or this server was started without it."}
CONFLICT = {409: "It does not fit with how things stand."}
UNAVAILABLE = {
    503: "No model is loaded yet, or the event store does not answer; see Retry-After. A server that is too "
    "busy says so, too, in plain text."
}


def problems(*kinds: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a path that may answer with these problems."""
    return {
        status: {"model": Problem, "description": text} for kind in kinds for status, text in kind.items()
    }
