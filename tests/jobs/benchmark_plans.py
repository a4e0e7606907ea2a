"""Plans for tests of the benchmark, on the checkerboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.benchmarking.plan import Plan
from tests.small import SMALL

PROTOCOL = {"query_after": 5, "shots": [0, 1, 2, 5]}
FAST = ("popularity", "late popularity", "item-kNN")
OPTIONS = tuple(option for option in SMALL if not option.startswith("evaluation"))


def plan_of(prepared: Path, **changes: Any) -> Plan:
    spec = {"prepared": str(prepared), "orders": ["time"], **PROTOCOL}
    values = {"seeds": [0, 1], "methods": FAST, "options": OPTIONS, "data": {"board": spec}}
    return Plan.model_validate({**values, **changes})
