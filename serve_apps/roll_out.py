"""Which model answers whom: one for all, or another for a share of the people, and one that only looks on.

Pure values; knows nothing of files, of Ray or of what a model is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMER_MAX = 20

Version = str


class Canary(BaseModel):
    """A version that answers a share of the people, always the same ones."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    version: Version = Field(min_length=1, max_length=64)
    share: float = Field(ge=0, le=1, allow_inf_nan=False, description="Share of the people, 0 to 1.")


class RollOut(BaseModel):
    """The versions in use. It is what ``user_config`` of a Serve config file holds, too."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={
            "examples": [{"live": "3f2a9c01b7de", "canary": {"version": "88d01c2e45aa", "share": 0.05}}]
        },
    )

    live: Version = Field(min_length=1, max_length=64, description="Answers everyone else.")
    canary: Canary | None = Field(None, description="Answers its share of the people.")
    shadow: Version | None = Field(
        None, min_length=1, max_length=64, description="Answers nobody; is compared with what was answered."
    )

    @model_validator(mode="after")
    def _versions_differ(self) -> Self:
        if len(set(self.versions())) < len(list(self.versions())):
            raise ValueError("live, canary and shadow must be different versions")
        return self

    def versions(self) -> Iterator[Version]:
        yield self.live
        if self.canary:
            yield self.canary.version
        if self.shadow:
            yield self.shadow

    def answering(self, user_id: str | None) -> Version:
        """The version that answers a person; without an id it is the live one."""
        if self.canary and user_id is not None and place_of(user_id, self.canary.version) < self.canary.share:
            return self.canary.version
        return self.live

    def without(self, version: Version) -> RollOut:
        """The same, with ``version`` neither canary nor shadow."""
        canary = None if self.canary and self.canary.version == version else self.canary
        return RollOut(live=self.live, canary=canary, shadow=None if self.shadow == version else self.shadow)


def place_of(user_id: str, version: Version) -> float:
    """Where a person stands in [0, 1) with respect to a canary: the same for good, evenly spread.

    Whoever a canary answers at one share it answers at every larger share; another version's canary draws
    other people.
    """
    hashed = hashlib.blake2b(f"{version}\n{user_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(hashed) >> 11) / 2**53
