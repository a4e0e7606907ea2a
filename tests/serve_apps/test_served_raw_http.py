"""Requests that no well-behaved client sends, through both proxies: a clear refusal; no 5xx, no hang."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.serve_apps.conftest import Served
from tests.serve_apps.raw_http import Connection, Reply, chunks, post
from tests.serve_apps.shipped import Callers, serve_logs

pytestmark = pytest.mark.ray

EVENT = b'{"item_id": "103", "value": %s}'
DEEP = 60_000
BODIES: dict[str, tuple[bytes, set[int]]] = {
    "nested lists": (b'{"events": ' + b"[" * DEEP + b"]" * DEEP + b"}", {400}),
    "nested objects": (b'{"user": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", {400}),
    "nested filter": (b'{"filter": {"genre": ' + b"[" * 150 + b"]" * 150 + b"}}", {400, 422}),
    "not UTF-8": (b'{"user_id": "\xff\xfe"}', {400}),
    "half a surrogate": (b'{"user_id": "\\ud800"}', {400, 422}),
    "UTF-16": ('{"k": 3}'.encode("utf-16"), {400}),
    "a NUL in an id": (b'{"user_id": "a\\u0000b"}', {200}),
    "1e400": (b'{"events": [' + EVENT % b"1e400" + b"]}", {400, 422}),
    "-1e308": (b'{"events": [' + EVENT % b"-1e308" + b"]}", {422}),
    "NaN": (b'{"events": [' + EVENT % b"NaN" + b"]}", {400}),
    "a number of 5,000 digits": (b'{"events": [' + EVENT % (b"9" * 5000) + b"]}", {400, 422}),
    "k of 5,000 digits": (b'{"k": ' + b"9" * 5000 + b"}", {400, 422}),
    "minus zero": (b'{"k": -0}', {422}),
    "a key twice": (b'{"k": 1, "k": 2}', {200}),
    "a million empty events": (b'{"events": [' + b"{}," * 300_000 + b"{}]}", {422}),
    "a thousand events": (b'{"events": [' + b",".join([EVENT % b"5"] * 1000) + b"]}", {200}),
    "20,000 candidates": (json.dumps({"candidates": [str(n) for n in range(20_000)]}).encode(), {200}),
    "a list": (b"[]", {422}),
    "null": (b"null", {422}),
    "nothing": (b"", {422}),
}


@pytest.fixture(params=["default", "haproxy"])
def callers(request: pytest.FixtureRequest) -> Callers:
    """A server behind either proxy."""
    if request.param == "haproxy":
        return request.getfixturevalue("behind_haproxy")
    served: Served = request.getfixturevalue("served")
    return Callers(served.url, served.key, serve_logs())


@pytest.fixture(autouse=True)
def _still_answers(callers: Callers) -> Iterator[None]:
    yield
    answer = httpx.post(
        f"{callers.url}/v1/recommend", json={"k": 2}, headers={"authorization": f"Bearer {callers.key}"}
    )
    assert answer.status_code == 200


def said_to(callers: Callers, request: bytes, **options: Any) -> Reply:
    with Connection(callers.url) as connection:
        connection.send(request)
        return connection.reply(**options)


@pytest.mark.parametrize("name", BODIES)
def test_an_odd_body_is_answered_at_once(callers: Callers, name: str) -> None:
    body, statuses = BODIES[name]
    began = time.monotonic()
    reply = said_to(callers, post(body, callers.key))
    assert reply.status in statuses
    assert time.monotonic() - began < 5
    if reply.status >= 400:
        assert json.loads(reply.body)["status"] == reply.status


@pytest.mark.parametrize("announced", [True, False], ids=["length", "chunks"])
def test_a_body_of_10_mb_is_refused(callers: Callers, announced: bool) -> None:
    """What it says comes through, although the caller is still sending."""
    head, _, body = post(b" " * 10_000_000, callers.key).partition(b"\r\n\r\n")
    if not announced:
        head, body = head.replace(b"Content-Length: 10000000", b"Transfer-Encoding: chunked"), chunks(body)
    reply = said_to(callers, head + b"\r\n\r\n" + body)
    assert (reply.status, json.loads(reply.body)["status"]) == (413, 413)


def test_a_key_that_comes_twice_counts_the_last_time(callers: Callers) -> None:
    reply = said_to(callers, post(b'{"k": 1, "k": 2}', callers.key))
    assert len(json.loads(reply.body)["items"]) == 2


def test_requests_in_a_pipeline_are_answered_in_order(callers: Callers) -> None:
    with Connection(callers.url) as connection:
        connection.send(b"".join(post(b'{"k": %d}' % k, callers.key) for k in range(1, 6)))
        replies = [connection.reply() for _ in range(5)]
    assert [len(json.loads(reply.body)["items"]) for reply in replies] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_other_methods_are_refused(callers: Callers, method: str) -> None:
    request = post(b"", callers.key).replace(b"POST", method.encode(), 1)
    assert said_to(callers, request, has_body=method != "HEAD").status in {400, 405, 501}


HEADERS: dict[str, tuple[bytes, set[int]]] = {
    "a header of 1 MB": (b"X-Long: " + b"x" * (1 << 20), {0, 200, 400, 431}),
    "10,000 headers": (b"\r\n".join(b"X-%d: y" % n for n in range(10_000)), {0, 200, 400, 431}),
    "a header without a name": (b": x", {0, 400}),
    "a NUL": (b"X-Odd: a\0b", {0, 200, 400}),
    "two lengths": (b"Content-Length: 1", {0, 400}),
    "a length that is none": (b"Content-Length: -5", {0, 400}),
    "a length and chunks": (b"Transfer-Encoding: chunked", {0, 400}),
    "an odd request id": (b"X-Request-ID: {}\t\x7f", {200, 400}),
    "an odd expectation": (b"Expect: the-unexpected", {200, 400, 417}),
    "no time at all": (b"X-Request-Timeout-Seconds: -1", {200, 400, 408}),
    "a time that is none": (b"X-Request-Timeout-Seconds: NaN", {200, 400, 408}),
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_absurd_header_is_no_servers_error(callers: Callers, name: str) -> None:
    header, statuses = HEADERS[name]
    request = post(b'{"k": 3}', callers.key).replace(b"\r\n", b"\r\n" + header + b"\r\n", 1)
    assert said_to(callers, request).status in statuses


@pytest.mark.parametrize(
    "line",
    [
        b"GET",
        b"GET /%00 HTTP/1.1",
        b"GET /%ff%fe HTTP/1.1",
        b"\0\0\0",
        b"GET " + b"/a" * 50_000 + b" HTTP/1.1",
    ],
)
def test_an_odd_first_line_is_no_servers_error(callers: Callers, line: bytes) -> None:
    assert said_to(callers, line + b"\r\nHost: test\r\n\r\n").status in {0, 400, 401, 404, 414, 431}


def test_a_body_that_stops_half_way_is_given_up_and_others_are_answered_meanwhile(callers: Callers) -> None:
    request = post(b'{"k": 3}' + b" " * 50, callers.key, "/v1/recommend", "X-Request-Timeout-Seconds: 2")
    began = time.monotonic()
    with ExitStack() as stack:
        stalled = [stack.enter_context(Connection(callers.url)) for _ in range(100)]
        for connection in stalled:
            connection.send(request[:-20])
        assert said_to(callers, post(b'{"k": 3}', callers.key)).status == 200
        assert time.monotonic() - began < 1.5
        assert {connection.reply().status for connection in stalled} == {408}
        assert time.monotonic() - began < 20


def test_a_head_that_stops_half_way_keeps_nobody_waiting(callers: Callers) -> None:
    """Nothing is said to them until they go on after all. HAProxy gives them ten seconds."""
    request = post(b'{"k": 3}', callers.key)
    began = time.monotonic()
    with ExitStack() as stack:
        stalled = [stack.enter_context(Connection(callers.url)) for _ in range(100)]
        for connection in stalled:
            connection.send(request[:40])
        assert said_to(callers, request).status == 200
        assert time.monotonic() - began < 1.5
        for connection in stalled:
            connection.send(request[40:])
        assert {connection.reply().status for connection in stalled} == {200}


def test_a_body_that_drips_is_read(callers: Callers) -> None:
    request = post(b'{"k": 3}', callers.key)
    with Connection(callers.url) as connection:
        connection.send((request[at : at + 8] for at in range(0, len(request), 8)), pause_s=0.02)
        assert connection.reply().status == 200


def test_a_caller_who_hangs_up_costs_nobody_an_answer(callers: Callers) -> None:
    for _ in range(50):
        with Connection(callers.url) as connection:
            connection.send(post(b'{"k": 3, "explain": true}', callers.key))
