"""A histogram whose cost does not grow with what it counts.

Ray's own is passed on observation by observation: a node's agent records each of them anew, one by one, which
at some hundred requests a second takes a good part of a processor, in bursts that answers wait for.
Here each bucket is a counter, which is what Prometheus takes a histogram to be; its functions ask only for
the label ``le``. Ray gives counters the ending ``_total``, so that a quantile is

    histogram_quantile(0.5, sum by (le) (rate(ray_NAME_bucket_total[5m])))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ray.util.metrics import Counter

NOTHING = 1e-9
"""Added in place of 0, which Ray refuses: a quantile needs the buckets in which nothing is, too."""


class Histogram:
    """Counts values in buckets, up to and with each of ``bounds``, and their sum; names as in Prometheus."""

    def __init__(
        self, name: str, description: str, bounds: Sequence[float], tag_keys: tuple[str, ...] = ()
    ) -> None:
        self._bounds = np.array(bounds)
        self._ends = [*(f"{bound:g}" for bound in bounds), "+Inf"]
        self._buckets = Counter(f"{name}_bucket", description, (*tag_keys, "le"))
        self._sum = Counter(f"{name}_sum", description, tag_keys)
        self._count = Counter(f"{name}_count", description, tag_keys)
        self.counters = (self._buckets, self._sum, self._count)

    def observe(self, values: Sequence[float], tags: Mapping[str, str] | None = None) -> None:
        """Some values, none of them negative, with the same tags."""
        if not len(values):
            return
        tags = dict(tags or {})
        place = np.searchsorted(self._bounds, values)
        up_to = np.bincount(place, minlength=len(self._ends)).cumsum()
        for end, count in zip(self._ends, up_to.tolist(), strict=True):
            self._buckets.inc(count or NOTHING, {**tags, "le": end})
        self._sum.inc(sum(values) or NOTHING, tags)
        self._count.inc(len(values), tags)
