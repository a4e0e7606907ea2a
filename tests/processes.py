"""Processes as the kernel sees them: who descends from whom, and who is left."""

from __future__ import annotations

import time
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """All processes below one, now."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        children.setdefault(int(rest.split()[1]), []).append(int(name.split()[0]))
    found, todo = set(), [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo += below
    return found


def titled(title: str, among: set[int] | None = None) -> set[int]:
    """Processes whose first argument contains ``title``: Ray names its workers so."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        pid = int(path.parent.name)
        try:
            first = path.read_bytes().split(b"\0")[0].decode(errors="replace")
        except OSError:
            continue
        if title in first and (among is None or pid in among):
            found.add(pid)
    return found


def left_of(pids: set[int], timeout_s: float = 60.0) -> set[int]:
    """Those that still run after a while; zombies do not run."""
    end = time.monotonic() + timeout_s
    while (alive := {pid for pid in pids if _runs(pid)}) and time.monotonic() < end:
        time.sleep(0.2)
    return alive


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
