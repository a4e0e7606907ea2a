"""Loops over items and events as machine code: of arrays that are too short for numpy or torch to pay.

A compiled function takes arrays, numbers and named tuples of them. It is compiled when it is first called
with arguments of some types, and kept on disk beside its source where that can be written to. Knows nothing
of what is compiled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])

_HERE = Path(__file__).parent
_LEARNING = [
    _HERE / "learning" / f"{name}.py"
    for name in ("adjoint", "cholesky", "episodic_ridge", "evidence", "newton")
]
_SOURCES = [Path(__file__), *sorted((_HERE / "ranking").glob("*.py")), *_LEARNING]
_VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]
"""Numba keeps a function until its own file changes; what it calls, and is part of it, may lie in others."""
_ANY_ORDER = {"reassoc", "contract", "arcp", "nsz"}  # of sums; NaN and infinity keep their meaning


def compiled(function: F) -> F:
    """For what is short: beside a busy thread, giving Python's lock up costs far more than such a call."""
    return _compiled(function, nogil=False)


def compiled_unlocked(function: F) -> F:
    """For what takes milliseconds: other threads run meanwhile."""
    return _compiled(function, nogil=True)


def _compiled(function: F, nogil: bool) -> F:
    function.__qualname__ = f"{function.__qualname__}-{_VERSION}"
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": _ANY_ORDER, "nogil": nogil}
    try:
        return cast(F, njit(function, cache=True, **options))
    except RuntimeError:  # nowhere to keep it
        return cast(F, njit(function, **options))
