"""Connects to Ray: the cluster that ``RAY_ADDRESS`` names (Ray sets it for jobs), else one of its own.

Knows nothing of the work done on it.
"""

from __future__ import annotations

import logging
import os


def attach() -> None:
    """Connect, unless this process is connected already. A local Ray ends with the process."""
    import ray  # takes a second or more: only those who need it wait for it

    if not ray.is_initialized():
        # That Ray guards itself with a token by default is no warning.
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        os.environ.setdefault("RAY_worker_niceness", "0")  # workers of a local Ray would run at nice 15
        ray.init(
            None if "RAY_ADDRESS" in os.environ else "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
