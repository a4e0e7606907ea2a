"""Where runs are kept: a local folder or a URI (s3://, gs://, file:// ...), through pyarrow's file systems.

Knows nothing of what is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, copy_files

from engine.errors import ConfigError


@dataclass(frozen=True)
class Folder:
    """A folder on some file system."""

    filesystem: FileSystem
    path: str

    @staticmethod
    def at(place: str | Path, *below: str) -> Folder:
        """The folder ``below`` a local path or a URI.

        Raises:
            ConfigError: no file system of this kind, or its settings are wrong.
        """
        if "://" not in str(place):
            return Folder(LocalFileSystem(), str(Path(place, *below).resolve()))
        try:
            filesystem, path = FileSystem.from_uri(str(place))
        except (ValueError, OSError) as error:
            raise ConfigError(
                f"cannot be used: {error}", where=f"--storage {place}", fix="Give a folder or an s3:// URI."
            ) from None
        return Folder(filesystem, "/".join([path.rstrip("/"), *below]))

    @property
    def local(self) -> Path | None:
        """As a path of this machine, if it is one."""
        return Path(self.path) if isinstance(self.filesystem, LocalFileSystem) else None

    def read(self, name: str) -> bytes | None:
        """A file's contents; None where there is no such file."""
        path = f"{self.path}/{name}"
        if self.filesystem.get_file_info(path).type != FileType.File:
            return None
        with self.filesystem.open_input_stream(path) as file:
            return bytes(file.read())

    def names(self, start: str) -> list[str]:
        """The files whose names start so, in order."""
        found = self.filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))
        return sorted(file.base_name for file in found if file.base_name.startswith(start))

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write as a whole: a crash meanwhile leaves what was there before."""
        self.filesystem.create_dir(self.path, recursive=True)
        scratch = f"{self.path}/.{name}"
        with self.filesystem.open_output_stream(scratch) as file:
            yield file
        self.filesystem.move(scratch, f"{self.path}/{name}")

    def clear(self) -> None:
        """Leave nothing of the folder."""
        if self.filesystem.get_file_info(self.path).type == FileType.Directory:
            self.filesystem.delete_dir(self.path)

    def upload(self, local: Path) -> None:
        """Copy all files of a local folder into this one."""
        self.filesystem.create_dir(self.path, recursive=True)
        copy_files(str(local), self.path, LocalFileSystem(), self.filesystem)
