"""Keeps people's events between requests: append-only, capped, deletable as a whole.

``open_store`` gives the store that an address names; ``interface`` says what every store holds to.
"""

from serve_apps.event_store.interface import HISTORY, Deletion, Entry, EventStore, StoreError
from serve_apps.event_store.open import open_store

__all__ = ["HISTORY", "Deletion", "Entry", "EventStore", "StoreError", "open_store"]
