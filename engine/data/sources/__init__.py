"""Data to try firstclick on, as pandas tables with the columns of the input contract."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class SourceTables:
    """What ``prepare`` takes, in memory."""

    interactions: pd.DataFrame  # user_id, item_id, rating, timestamp
    items: pd.DataFrame  # item_id and features
    users: pd.DataFrame  # user_id and features
    origin: str  # for people: where the data come from
