"""Folders on file systems: local paths, URIs, and ones that are no paths of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from engine.errors import ConfigError
from jobs.training.storage import Folder


def folders(tmp_path: Path) -> list[Folder]:
    elsewhere = SubTreeFileSystem(str(tmp_path / "bucket"), LocalFileSystem())
    return [
        Folder.at(tmp_path, "runs", "r"),
        Folder.at(f"file://{tmp_path}/uri/", "runs", "r"),
        Folder(elsewhere, "runs/r"),
    ]


def test_what_is_written_is_read_again_everywhere(tmp_path: Path) -> None:
    for folder in folders(tmp_path):
        assert folder.read("state") is None
        for contents in (b"one", b"two"):
            with folder.writing("state") as file:
                file.write(contents)
        assert folder.read("state") == b"two"
    assert (tmp_path / "runs" / "r" / "state").read_bytes() == b"two"
    assert (tmp_path / "uri" / "runs" / "r" / "state").read_bytes() == b"two"
    assert (tmp_path / "bucket" / "runs" / "r" / "state").read_bytes() == b"two"


def fill_the_disk(folder: Folder) -> None:
    with folder.writing("state") as file:
        file.write(b"ha")
        raise OSError("full")


def test_a_crash_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    for folder in folders(tmp_path):
        with folder.writing("state") as file:
            file.write(b"whole")
        with pytest.raises(OSError, match="full"):
            fill_the_disk(folder)
        assert folder.read("state") == b"whole"


def test_a_cleared_folder_is_gone(tmp_path: Path) -> None:
    for folder in folders(tmp_path):
        folder.clear()  # there was none
        with folder.writing("state") as file:
            file.write(b"one")
        folder.clear()
        assert folder.read("state") is None


def test_a_folder_is_uploaded(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "a").write_bytes(b"1")
    for folder in folders(tmp_path):
        folder.upload(tmp_path / "local")
        assert folder.read("a") == b"1"


def test_only_paths_of_this_machine_are_local(tmp_path: Path) -> None:
    local = [folder.local for folder in folders(tmp_path)]
    assert local == [tmp_path / "runs" / "r", tmp_path / "uri" / "runs" / "r", None]


def test_an_unknown_kind_of_storage_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--storage nowhere://x"):
        Folder.at("nowhere://x", "r")
