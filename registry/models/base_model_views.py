"""Base models as they are answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.models import Model, ModelFile
from afinador.settings import Settings
from registry.hugging_face.hf_downloads import parse_source
from registry.ledger.tables import BaseModel
from registry.models.base_model_folders import own_folder, part_of

UNFINISHED = ("uploading", "registering")
FOLDER = "folder"
"""Told as the source of a base model that was registered from one: where things lie on a server is its own affair."""


def to_wire(settings: Settings, row: BaseModel, *, with_files: bool = True, has_its_name: bool = True) -> Model:
    """Return a base model as it is answered; of one that is still coming, how much of it is there.

    Args:
        settings: Where the files of unfinished ones lie.
        row: The entry.
        with_files: False leaves the single files out, as lists do.
        has_its_name: False when the name leads to another model.
    """
    folder, files = own_folder(settings, row), row.files or {}
    done = {path: _bytes_done(folder, path, row) for path in sorted(files)}
    return Model.model_validate(
        {
            "id": row.name if has_its_name else row.id,
            "model_id": row.id,
            "created": int(row.created_at),
            "created_at": int(row.created_at),
            "owned_by": row.organization_id,
            "organization_id": row.organization_id,
            "name": row.name,
            "type": "base",
            "origin": row.origin,
            "visibility": row.visibility,
            "status": row.status,
            "status_details": row.status_details,
            "architecture": row.architecture,
            "task": row.task,
            "parameters": row.parameters,
            "sha256": row.sha256,
            "license": row.license,
            "source": FOLDER if Path(row.source).is_absolute() else row.source,
            "revision": _revision(row),
            "bytes": sum(file["bytes"] for file in files.values()) if files else None,
            "bytes_done": sum(done.values()) if files else None,
            "files": _files(files, done) if with_files and files else None,
        }
    )


def _revision(row: BaseModel) -> str | None:
    is_resolved = row.source.startswith(HUB_SCHEME) and row.status == "ready"
    return parse_source(row.source).revision if is_resolved else None


def _files(files: dict[str, Any], done: dict[str, int]) -> list[ModelFile]:
    return [
        ModelFile(path=path, bytes=files[path]["bytes"], bytes_done=bytes_done, sha256=files[path].get("sha256"))
        for path, bytes_done in done.items()
    ]


def _bytes_done(folder: Path, path: str, row: BaseModel) -> int:
    """Return how much of a file is there: whole, what was sent of it, or what the Hub's client has of it so far."""
    file = (row.files or {})[path]
    if row.status not in UNFINISHED:
        return int(file["bytes"])
    places = [folder / path, part_of(folder, path)]
    if file.get("sha256"):
        places += (folder / ".cache" / "huggingface" / "download").glob(f"*.{file['sha256']}.*incomplete")
    try:
        return min(file["bytes"], max((place.stat().st_size for place in places if place.is_file()), default=0))
    except FileNotFoundError:  # finished and renamed just now
        return int(file["bytes"])
