"""A model that answers nobody: it ranks for the same requests, off the response path, and is compared.

One thread, one request at a time; requests that come meanwhile are skipped and counted, so that a slow
shadow costs nobody anything but the CPU it takes. Knows nothing of HTTP or Ray.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from serve_apps.answers import RecommendAnswer, ShadowReport
from serve_apps.people import History
from serve_apps.requests import RecommendRequest
from serve_apps.served_model import ServedModel

_log = logging.getLogger(__name__)


class Shadow:
    """Compares ``model`` with what was answered."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._busy = Lock()
        self._compared = self._skipped = self._failed = 0
        self._overlap = self._same_first = self._latency_ms = 0.0

    def compare(self, request: RecommendRequest, history: History, answer: RecommendAnswer) -> None:
        """Look on, if not busy; returns at once."""
        if not self._busy.acquire(blocking=False):
            self._skipped += 1
            return
        try:
            self._thread.submit(self._compare, request, history, answer)
        except RuntimeError:  # closed meanwhile
            self._busy.release()

    def report(self) -> ShadowReport:
        n = max(self._compared, 1)
        return ShadowReport(
            model_version=self.model.version,
            compared=self._compared,
            skipped=self._skipped,
            failed=self._failed,
            overlap=self._overlap / n,
            same_first=self._same_first / n,
            latency_ms=self._latency_ms / n,
        )

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    def _compare(self, request: RecommendRequest, history: History, answer: RecommendAnswer) -> None:
        try:
            started = time.perf_counter()
            own = self.model.recommend(request.model_copy(update={"explain": False}), history)
            self._latency_ms += (time.perf_counter() - started) * 1000
            theirs, ours = ([item.item_id for item in a.items] for a in (answer, own))
            self._overlap += len({*theirs} & {*ours}) / max(len(theirs), len(ours), 1)
            self._same_first += theirs[:1] == ours[:1]
            self._compared += 1
        except Exception:
            self._failed += 1
            _log.exception("the shadow %s failed", self.model.version)
        finally:
            self._busy.release()
