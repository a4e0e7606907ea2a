"""Which levels, tags or terms are common enough to say something. Knows nothing of encoders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

MIN_ROWS = 5  # a level or a term seen in fewer rows says too little


def frequent(levels: Iterable[str], most: int) -> tuple[str, ...]:
    """Levels of at least MIN_ROWS rows, the most frequent first, ties by name."""
    ranked = sorted(Counter(levels).items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(level for level, count in ranked[:most] if count >= MIN_ROWS)
