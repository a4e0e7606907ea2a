"""The files that a sweep leaves: the best options as TOML, all trials as CSV.

Knows nothing of Ray.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import tomli_w

from engine.config import Config, flat, to_dict
from jobs.search_space import nested
from jobs.sweep.board import Row


def write_best(config: Config, origin: str, path: Path) -> None:
    """Write what differs from the defaults, below lines that say where it is from. `train` stays out."""
    plain, values = flat(to_dict(Config())), flat(to_dict(config))
    differs = {
        key: value for key, value in values.items() if value != plain[key] and not key.startswith("train.")
    }
    comment = "".join(f"# {line}".rstrip() + "\n" for line in origin.splitlines())
    path.write_text(f"{comment}\n{tomli_w.dumps(nested(differs))}", encoding="utf-8")


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """A line for each trial, the best first. The quality of an error's measure is its negative."""
    keys = list(rows[0].options)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "state", "quality", "passes", "seconds", *keys, "failure"])
        for row in rows:
            options = [row.options[key] for key in keys]
            writer.writerow(
                [row.run, row.state, row.quality, row.passes, round(row.seconds, 1), *options, row.failure]
            )
