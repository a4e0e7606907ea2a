"""API keys: made, kept as hashes in a file, recognised.

A key reads ``fc_ID_SECRET``. The file holds of each key its id, name, scope and the sha256 of the whole key:
the secret has 256 bits, so that a slow hash would add nothing. Several keys may have one name: to rotate,
make a second one, move callers over, revoke the first. A server notices a changed file within ``RECHECK_S``.

Knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from engine.errors import ConfigError

RECHECK_S = 1.0

_log = logging.getLogger(__name__)


class Scope(StrEnum):
    READ = "read"  # recommendations, the catalogue, and events in
    ADMIN = "admin"  # that, and people's data, and which model answers

    def includes(self, needed: Scope) -> bool:
        return self is Scope.ADMIN or needed is Scope.READ


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key."""

    id: str
    name: str
    scope: Scope
    sha256: str
    created_at: str


class ApiKeys:
    """The keys in one file.

    Raises:
        ConfigError: the file is not there or is not one of keys; later, such a file changes nothing and is
            logged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys = {key.id: key for key in read_keys(file)}
        self._state, self._checked_at = _state(file), time.monotonic()

    def find(self, text: str) -> ApiKey | None:
        """The key that ``text`` is, or None. Takes as long for a wrong secret as for the right one."""
        self._recheck()
        parts = text.split("_", 2)
        key = self._keys.get(parts[1]) if len(parts) == 3 else None
        right = hmac.compare_digest(_sha256(text), key.sha256 if key else "0" * 64)
        return key if right else None

    def _recheck(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < RECHECK_S:
            return
        self._checked_at = now
        state = _state(self._file)
        if state == self._state:
            return
        try:
            self._keys = {key.id: key for key in read_keys(self._file)}
            self._state = state
        except ConfigError as error:
            _log.error("the keys stay as they were: %s", error)


def create_key(file: Path, name: str, scope: Scope) -> tuple[ApiKey, str]:
    """Add a key to ``file``, which is made if need be. The second value is the key itself, kept nowhere."""
    keys = read_keys(file) if file.exists() else []
    key_id = secrets.token_hex(4)
    text = f"fc_{key_id}_{secrets.token_urlsafe(32)}"
    key = ApiKey(key_id, name, scope, _sha256(text), datetime.now(UTC).isoformat(timespec="seconds"))
    _write(file, [*keys, key])
    return key, text


def revoke_key(file: Path, key_id: str) -> ApiKey:
    """Take a key out of ``file``.

    Raises:
        ConfigError: there is none of this id.
    """
    keys = read_keys(file)
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        known = ", ".join(key.id for key in keys) or "none"
        raise ConfigError(f"no key has the id '{key_id}'", where=str(file), fix=f"There are: {known}.")
    _write(file, [other for other in keys if other is not key])
    return key


def read_keys(file: Path) -> list[ApiKey]:
    """The keys in ``file``.

    Raises:
        ConfigError: it is not there or is not one of keys.
    """
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["keys"]
        return [ApiKey(**{**entry, "scope": Scope(entry["scope"])}) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"cannot read API keys: {type(error).__name__}: {error}",
            where=str(file),
            fix="'firstclick keys create' makes the file.",
        ) from None


def _write(file: Path, keys: list[ApiKey]) -> None:
    """Whole or not at all, for its owner's eyes only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump({"keys": [asdict(key) for key in keys]}, out, indent=2)
    Path(partial).replace(file)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
