"""The artifact: the folder that training leaves and serving loads.

    manifest.json        format version, configuration, data set, quality, sha256 of each other file
    weights.safetensors  the model's tensors
    catalogue.parquet    items in row order with their raw features
    features.json        fitted encoders and the signal table
    neighbours.safetensors  of each item, for a list to compare with; may be absent
    card.md              the same for people
    training.json        loss and quality of every pass, where it is known

Loading checks the hashes and never unpickles. Knows nothing of how a model is trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import numpy as arrays
from safetensors.torch import load_file, save_file

from engine.config import parse_config
from engine.data.features.feature_encoder import FeatureEncoder
from engine.data.signals import Signals
from engine.errors import ArtifactError
from engine.folders import is_free, replacing
from engine.learning.assemble import model_from_state
from engine.learning.meta import MetaModel
from engine.learning.training import PassReport
from engine.ranking.neighbours import Neighbours

FORMAT = "firstclick-artifact"
FORMAT_VERSION = 4  # 1: ridge without half_at; 2: items without gain of cold ones; 3: doubt not normalised
MANIFEST, WEIGHTS, CATALOGUE, FEATURES, CARD = (
    "manifest.json",
    "weights.safetensors",
    "catalogue.parquet",
    "features.json",
    "card.md",
)
HISTORY = "training.json"  # not of every artifact
NEIGHBOURS = "neighbours.safetensors"


@dataclass(frozen=True)
class Artifact:
    """What an artifact folder holds. ``manifest`` carries what the writer knows (configuration, data
    set, quality); format version, hashes and version are added when it is saved."""

    model: MetaModel
    items: pa.Table  # (N rows) item_id and raw features, in row order
    signals: Signals
    default_signal: int  # of an event that says neither value nor name
    item_encoder: FeatureEncoder
    user_encoder: FeatureEncoder
    manifest: Mapping[str, Any]
    card: str = ""
    history: tuple[PassReport, ...] = ()  # of the training run
    neighbours: Neighbours | None = None


def check_target(folder: Path) -> None:
    """Raise ArtifactError unless the folder may be written: it is new, empty, or an older artifact."""
    if not is_free(folder) and not _is_artifact(folder):
        raise ArtifactError(
            "will not replace what is not an artifact",
            where=str(folder),
            fix="Name another folder with --out, or remove this one yourself.",
        )


def save_artifact(artifact: Artifact, folder: Path) -> dict[str, Any]:
    """Write the folder as a whole and return its manifest; an artifact that stood there is replaced.

    Raises:
        ArtifactError: ``folder`` holds something else, or cannot be written.
    """
    check_target(folder)
    try:
        with replacing(folder) as temporary:
            return _write(artifact, temporary)
    except OSError as error:
        raise ArtifactError(
            f"cannot write the artifact: {error.strerror or error}", where=str(folder)
        ) from error


def _write(artifact: Artifact, folder: Path) -> dict[str, Any]:
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in artifact.model.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS)
    pq.write_table(artifact.items, folder / CATALOGUE)
    features = {
        "signals": artifact.signals.to_json(),
        "default_signal": artifact.default_signal,
        "items": artifact.item_encoder.to_json(),
        "users": artifact.user_encoder.to_json(),
    }
    (folder / FEATURES).write_text(json.dumps(features), encoding="utf-8")
    (folder / CARD).write_text(artifact.card, encoding="utf-8")
    names = [WEIGHTS, CATALOGUE, FEATURES]
    if artifact.neighbours is not None:
        arrays.save_file(vars(artifact.neighbours), folder / NEIGHBOURS)
        names.append(NEIGHBOURS)
    loaded = list(names)
    if artifact.history:
        passes = json.dumps([asdict(report) for report in artifact.history], indent=1)
        (folder / HISTORY).write_text(passes, encoding="utf-8")
        names.append(HISTORY)
    files = {name: _sha256(folder / name) for name in (*names, CARD)}
    manifest = {
        **artifact.manifest,
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": hashlib.sha256("".join(files[name] for name in loaded).encode()).hexdigest()[:12],
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    return manifest


def load_artifact(folder: Path) -> Artifact:
    """Read and check an artifact.

    Raises:
        ArtifactError: the folder or a file is missing, a hash differs, the format is newer, or the
            files do not fit each other; says which.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise _broken(f"{name} is missing", folder)
        if _sha256(path) != expected:
            raise _broken(f"{name} is not the file that was saved (its sha256 differs)", folder)
    try:
        config = parse_config(manifest["config"], where=f"{folder / MANIFEST}")
        features = json.loads((folder / FEATURES).read_text(encoding="utf-8"))
        artifact = Artifact(
            model_from_state(load_file(folder / WEIGHTS), config),
            pq.read_table(folder / CATALOGUE),
            Signals.from_json(features["signals"]),
            int(features["default_signal"]),
            FeatureEncoder.from_json(features["items"]),
            FeatureEncoder.from_json(features["users"]),
            manifest,
            (folder / CARD).read_text(encoding="utf-8"),
            _read_history(folder) if HISTORY in manifest["files"] else (),
            Neighbours(**arrays.load_file(folder / NEIGHBOURS)) if NEIGHBOURS in manifest["files"] else None,
        )
    except Exception as error:  # hashes fit, so the writer was not this code
        raise _broken(f"its files cannot be read: {type(error).__name__}: {error}", folder) from error
    if artifact.items.num_rows != len(artifact.model.items.base_N):
        raise _broken(f"{CATALOGUE} and {WEIGHTS} disagree on the number of items", folder)
    return artifact


def _read_history(folder: Path) -> tuple[PassReport, ...]:
    passes = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
    return tuple(PassReport(**report) for report in passes)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest alone, its format checked.

    Raises:
        ArtifactError: it is missing, not JSON, or of a newer format.
    """
    if not (folder / MANIFEST).is_file():
        raise ArtifactError(
            "no artifact here",
            where=str(folder),
            fix="Give the folder that `firstclick pretrain --out` wrote.",
        )
    manifest = _manifest_of(folder)
    if manifest is not None and manifest.get("format", FORMAT) != FORMAT:
        raise ArtifactError(
            f"this is no artifact but a {manifest['format']}",
            where=str(folder),
            fix="Give the folder that `firstclick pretrain --out` wrote.",
        )
    if manifest is None or manifest.get("format") != FORMAT:
        raise _broken(f"{MANIFEST} is not an artifact's", folder)
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtifactError(
            f"format {version} is newer than this program reads ({FORMAT_VERSION})",
            where=str(folder),
            fix="Upgrade firstclick, or train the artifact anew.",
        )
    parts = {"files": dict, "config": dict, "dataset": dict, "version": str}
    wrong = [key for key, kind in parts.items() if not isinstance(manifest.get(key), kind)]
    if wrong or not set(manifest["files"]) >= {WEIGHTS, CATALOGUE, FEATURES, CARD}:
        raise _broken(f"{MANIFEST} is incomplete{': ' if wrong else ''}{', '.join(wrong)}", folder)
    return manifest


def _manifest_of(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _is_artifact(folder: Path) -> bool:
    return (_manifest_of(folder) or {}).get("format") == FORMAT


def _broken(what: str, folder: Path) -> ArtifactError:
    return ArtifactError(
        f"the artifact is broken: {what}", where=str(folder), fix="Copy it again or train it anew."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
