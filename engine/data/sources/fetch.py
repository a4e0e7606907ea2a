"""Fetches a small archive once, checks its hash, and keeps it in a cache folder.

Every way of fetching fails fast, since many machines reach only one of them. Knows nothing of what is inside.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import DataError

TIMEOUT_S = 10
PIP_TIMEOUT_S = 120


@dataclass(frozen=True)
class Archive:
    """A file of known contents and how to get it."""

    name: str
    origin: str  # for people: where it comes from
    algorithm: str
    digest: str
    fetch: Callable[[], bytes]  # raises OSError where it cannot be had


def cache_folder() -> Path:
    """``$FIRSTCLICK_CACHE``, or ``~/.cache/firstclick``."""
    return Path(os.environ.get("FIRSTCLICK_CACHE") or Path.home() / ".cache" / "firstclick")


def cached_or_fetched(archives: Sequence[Archive], folder: Path, fix: str) -> Path:
    """The first of ``archives`` that ``folder`` has with the right hash, else the first that can be fetched.

    Raises:
        DataError: none can be had, or the folder cannot be written; says why for each.
    """
    for archive in archives:
        path = folder / archive.name
        if path.is_file() and _matches(archive, path.read_bytes()):
            return path
    reasons = []
    for archive in archives:
        try:
            contents = archive.fetch()
        except OSError as error:
            reasons.append(f"{archive.origin}: {error}")
            continue
        if _matches(archive, contents):
            return _keep(folder / archive.name, contents)
        reasons.append(f"{archive.origin}: what came has another {archive.algorithm} than expected")
    raise DataError("cannot be fetched", where="; ".join(reasons), fix=fix)


def fetch_url(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        body: bytes = response.read()
    return body


def fetch_wheel(requirement: str) -> bytes:
    """The wheel of ``name==version`` without its dependencies, by pip and its configured index."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        limits = ["--quiet", "--disable-pip-version-check", "--retries=0", f"--timeout={TIMEOUT_S}"]
        try:
            done = subprocess.run(
                [*command, *limits, "--dest", folder, requirement],
                capture_output=True,
                text=True,
                timeout=PIP_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"pip took more than {PIP_TIMEOUT_S} s") from None
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise OSError((done.stderr.strip().splitlines() or ["pip found no wheel"])[-1])
        return wheels[0].read_bytes()


def _matches(archive: Archive, contents: bytes) -> bool:
    return hashlib.new(archive.algorithm, contents, usedforsecurity=False).hexdigest() == archive.digest


def _keep(path: Path, contents: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(contents)
        partial.replace(path)
    except OSError as error:
        fix = "Set FIRSTCLICK_CACHE to a folder that can be written."
        raise DataError(f"cannot be cached: {error.strerror}", where=str(path), fix=fix) from None
    return path
