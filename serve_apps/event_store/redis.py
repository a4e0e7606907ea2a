"""Events in Redis: for several nodes.

A person's events are a list, the ids of them a sorted set; one script changes both, so that a crash leaves
either all or nothing. Run Redis with ``appendonly yes`` and ``appendfsync always``: then a Redis that was
killed, or lost its power, has every acknowledged event when it is back. (With ``everysec`` it writes, while
the disk is slow, up to two seconds after it has answered.) Meanwhile calls wait and try again for some
seconds.

Deleted data leave Redis's memory at once and its append-only file soon after, by a rewrite that is asked for
(``BGREWRITEAOF``; where the account may not, or another one goes on for long: at the next rewrite).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import redis.asyncio
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from serve_apps.event_store.interface import (
    HISTORY,
    IDS_REMEMBERED,
    Deletion,
    Entry,
    StoreError,
    digest,
)

PREFIX = "firstclick"
DELETIONS = f"{PREFIX}:deletions"
TIMEOUT_S = 2.0
RETRIES = 10  # with pauses of up to half a second: a Redis that restarts is waited for
REWRITES, PAUSE_S = 100, 0.05  # how often a rewrite is asked for while another goes on

# KEYS: events, ids. ARGV: history, ids to remember, then id and entry of each event. Gives 1 for what is new.
_APPEND = """
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local seq, new = tonumber(last[2] or 0), {}
for i = 3, #ARGV, 2 do
  local added = redis.call('ZADD', KEYS[2], 'NX', seq + 1, ARGV[i])
  if added == 1 then
    seq = seq + 1
    redis.call('RPUSH', KEYS[1], ARGV[i + 1])
  end
  new[#new + 1] = added
end
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[1]), -1)
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(ARGV[2]) - 1)
return new
"""


_log = logging.getLogger(__name__)


class RedisStore:
    """See ``interface.EventStore``. Connections belong to the event loop of the first call."""

    def __init__(self, address: str, history: int = HISTORY) -> None:
        self._history = history
        backoff = ExponentialWithJitterBackoff(base=0.02, cap=0.5)
        self._redis = redis.asyncio.Redis.from_url(
            address,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=redis.asyncio.retry.Retry(backoff, RETRIES),
            retry_on_error=[ConnectionError, TimeoutError],
        )

    async def append(self, entries: Sequence[Entry]) -> list[bool]:
        places: dict[str, list[int]] = {}
        for place, entry in enumerate(entries):
            places.setdefault(entry.user_id, []).append(place)
        pipeline = self._redis.pipeline(transaction=True)
        for user_id, own in places.items():
            pipeline.eval(_APPEND, 2, *_keys(user_id), *self._arguments([entries[place] for place in own]))
        with self._reported():
            answers = await pipeline.execute()
        new = [False] * len(entries)
        for own, flags in zip(places.values(), answers, strict=True):
            for place, flag in zip(own, flags, strict=True):
                new[place] = flag == 1
        return new

    async def history(self, user_id: str) -> list[Entry]:
        with self._reported():
            texts: list[bytes] = await self._redis.lrange(_keys(user_id)[0], 0, -1)
        return [Entry.from_json(user_id, text) for text in texts]

    async def delete(self, user_id: str, by: str) -> Deletion:
        with self._reported():
            events = await self._redis.llen(_keys(user_id)[0])
            deletion = Deletion.now(user_id, events, by)
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.delete(*_keys(user_id)).xadd(DELETIONS, asdict(deletion))
            removed, _ = await pipeline.execute()
            if removed:
                await self._rewrite()
        return deletion

    async def deletions(self, limit: int) -> list[Deletion]:
        with self._reported():
            records = await self._redis.xrevrange(DELETIONS, count=limit)
        return [_deletion(fields) for _, fields in records]

    async def close(self) -> None:
        await self._redis.aclose()

    async def _rewrite(self) -> None:
        """Have the append-only file, if there is one, written anew: what was deleted still stands in it.

        A rewrite under way is of before the deletion, so that another has to follow.
        """
        for _ in range(REWRITES):
            try:
                if (await self._redis.info("persistence")).get("aof_enabled"):
                    await self._redis.bgrewriteaof()
                return
            except ResponseError as error:
                refusal = str(error)
            if "already in progress" not in refusal:
                break
            await asyncio.sleep(PAUSE_S)
        _log.warning("Redis's append-only file still holds what was deleted: %s", refusal)

    def _arguments(self, entries: Sequence[Entry]) -> list[Any]:
        pairs = [part for entry in entries for part in (entry.event_id, entry.to_json())]
        return [self._history, IDS_REMEMBERED * self._history, *pairs]

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise StoreError(f"the event store failed: {error}", where="Redis") from error


def _keys(user_id: str) -> tuple[str, str]:
    """The person's events and their ids. The braces keep both on one shard of a Redis cluster."""
    own = f"{PREFIX}:{{{digest(user_id)}}}"
    return f"{own}:events", f"{own}:ids"


def _deletion(fields: dict[bytes, bytes]) -> Deletion:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return Deletion(text["at"], text["subject"], int(text["events"]), text["by"])
