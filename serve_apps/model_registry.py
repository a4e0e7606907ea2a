"""Versions of the model on a disk that all replicas see, and which of them are in use.

    REGISTRY/versions/VERSION/     artifacts, each checked when it is added and before it is put to use
    REGISTRY/roll_out.json         the versions in use, and those that were live before

A change is written whole or not at all; replicas that watch the file follow it. Knows nothing of HTTP or Ray.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.artifact import load_artifact, read_manifest
from engine.errors import ArtifactError, ConfigError
from engine.folders import replacing
from serve_apps.roll_out import FORMER_MAX, Canary, RollOut


@dataclass(frozen=True)
class VersionInfo:
    version: str
    manifest: dict[str, Any]


class _State(BaseModel):
    """What ``roll_out.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roll_out: RollOut
    former: tuple[str, ...] = ()  # versions that were live, the latest last


class ModelRegistry:
    """The registry in ``folder``; an empty or missing folder is an empty registry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, artifact: Path) -> str:
        """Copy an artifact in and return its version; the same artifact again changes nothing.

        Raises:
            ArtifactError: it is missing, broken or of a newer format.
        """
        version = load_artifact(artifact).manifest["version"]
        if not self._place(version).exists():
            with replacing(self._place(version)) as copy:
                shutil.copytree(artifact, copy, dirs_exist_ok=True)
        return str(version)

    def versions(self) -> list[VersionInfo]:
        """What can be put to use, by the time it was made."""
        infos = [VersionInfo(name, read_manifest(self._place(name))) for name in self._names()]
        return sorted(infos, key=lambda info: (str(info.manifest.get("created_at", "")), info.version))

    def artifact(self, version: str) -> Path:
        """The folder of a version.

        Raises:
            ArtifactError: there is no such version.
        """
        if version not in self._names():
            known = ", ".join(self._names()) or "none"
            raise ArtifactError(f"no version '{version}'", where=str(self.folder), fix=f"There are: {known}.")
        return self._place(version)

    def roll_out(self) -> RollOut | None:
        """The versions in use; None before the first ``promote``.

        Raises:
            ConfigError: the file cannot be read.
        """
        state = self._state()
        return state and state.roll_out

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever the roll-out does; cheap enough to ask for every second."""
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def promote(self, version: str) -> RollOut:
        """Let ``version`` answer everyone; a canary or shadow of that version ends.

        Raises:
            ArtifactError: there is no such version, or it is broken: nothing has changed.
        """
        with self._locked():
            state = self._state()
            return self._write(_led_by(version, state.roll_out) if state else RollOut(live=version))

    def put(self, roll_out: RollOut) -> RollOut:
        """Replace the whole roll-out.

        Raises:
            ArtifactError: a version is missing or broken: nothing has changed.
        """
        with self._locked():
            return self._write(roll_out)

    def rollback(self) -> RollOut:
        """Let the version answer that was live before; again goes one further back.

        Raises:
            ConfigError: no version was live before.
            ArtifactError: that version is gone or broken: nothing has changed.
        """
        with self._locked():
            state = self._state()
            if state is None or not state.former:
                raise ConfigError("no version was live before", where=str(self._file))
            *former, last = state.former
            return self._write(_led_by(last, state.roll_out), tuple(former))

    def set_canary(self, version: str | None, share: float = 0.0) -> RollOut:
        """Let ``version`` answer a share of the people; None ends it."""
        return self.change(canary=version and Canary(version=version, share=share))

    def set_shadow(self, version: str | None) -> RollOut:
        """Compare ``version`` with what is answered; None ends it."""
        return self.change(shadow=version)

    def change(self, **parts: Any) -> RollOut:
        """Replace parts of the roll-out.

        Raises:
            ConfigError: nothing is live yet, or the parts do not fit together.
            ArtifactError: a version is missing or broken: nothing has changed.
        """
        with self._locked():
            state = self._state()
            if state is None:
                raise ConfigError(
                    "nothing is live yet",
                    where=str(self.folder),
                    fix="Use 'firstclick models promote' first.",
                )
            try:
                changed = RollOut.model_validate({**dict(state.roll_out), **parts})
            except ValidationError as error:
                what = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ConfigError(what, where="roll-out") from None
            return self._write(changed)

    def remove(self, version: str) -> None:
        """Delete a version that is not in use.

        Raises:
            ConfigError: it is in use.
            ArtifactError: there is no such version.
        """
        with self._locked():
            folder, in_use = self.artifact(version), self.roll_out()
            if in_use and version in in_use.versions():
                raise ConfigError(f"version '{version}' is in use", where=str(self._file))
            shutil.rmtree(folder)

    @property
    def _file(self) -> Path:
        return self.folder / "roll_out.json"

    def _place(self, version: str) -> Path:
        return self.folder / "versions" / version

    def _names(self) -> list[str]:
        """A folder that is being written starts with a dot."""
        return sorted(path.parent.name for path in self.folder.glob("versions/[!.]*/manifest.json"))

    def _state(self) -> _State | None:
        try:
            return _State.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
            raise ConfigError(f"the roll-out cannot be read: {reason}", where=str(self._file)) from None

    def _write(self, roll_out: RollOut, former: tuple[str, ...] | None = None) -> RollOut:
        state = self._state()
        if former is None:
            former = state.former if state else ()
            if state and state.roll_out.live != roll_out.live:
                former = (*former, state.roll_out.live)[-FORMER_MAX:]
        for version in roll_out.versions():
            load_artifact(self.artifact(version))
        text = json.dumps(_State(roll_out=roll_out, former=former).model_dump(), indent=2)
        partial = self._file.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(self._file)
        return roll_out

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time, whichever process makes it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _led_by(version: str, roll_out: RollOut) -> RollOut:
    return roll_out.without(version).model_copy(update={"live": version})
