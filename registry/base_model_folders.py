"""Where base models lie: folders of the operator's below the allowed roots, and our own for what was sent or fetched."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from afinador.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from afinador.models.headers import model_files
from afinador.settings import Settings
from registry.tables import BaseModel

OUTSIDE_ROOTS = "outside_model_roots"
"""Code of the error by which a client knows that it has to send the files."""
_OWN_NAME = re.compile(r"model_[a-z0-9]{24}")


def own_folder(settings: Settings, row: BaseModel) -> Path:
    """Return where the files of a base model lie that were sent or fetched."""
    return settings.home / "base-models" / row.id


def remove_own_folder(settings: Settings, row: BaseModel) -> None:
    """Remove what was sent or fetched; an operator's folder lies elsewhere and stays."""
    shutil.rmtree(own_folder(settings, row), ignore_errors=True)


def part_of(folder: Path, path: str) -> Path:
    """Return where a file lies of which not all was sent yet."""
    return folder / f"{path}.part"


def allowed_folder(settings: Settings, source: str) -> Path:
    """Return the folder that a source names, without links.

    Raises:
        InvalidRequestError: It is no absolute path.
        PermissionDeniedError: It, or a file of the model in it, lies outside the allowed roots or belongs to another
            entry.
        NotFoundError: There is no such folder.
    """
    if "://" in source or not Path(source).is_absolute():
        raise InvalidRequestError(
            f"source is {source!r}; give an absolute folder on the server, or hf://owner/name[@revision].",
            param="source",
        )
    try:
        folder = Path(source).resolve()
        is_there = folder.is_dir()
    except (OSError, ValueError) as error:  # such as a name that is too long, or holds a zero byte
        raise InvalidRequestError(f"source is no folder that there can be: {error}.", param="source") from error
    _require_below_roots(settings, folder)
    if not is_there:
        raise NotFoundError(
            f"There is no folder {source}; give the one that holds config.json and the safetensors files.",
            param="source",
        )
    for file in model_files(folder) if (folder / "config.json").is_file() else ():
        _require_below_roots(settings, file.resolve())  # a link inside may lead out
    return folder


def _require_below_roots(settings: Settings, path: Path) -> None:
    roots = [root.resolve() for root in settings.allowed_model_roots]
    if not any(path.is_relative_to(root) for root in roots) or _belongs_to_an_entry(settings, path):
        raise PermissionDeniedError(
            f"{path} lies outside the folders from which base models may be registered: "
            f"{', '.join(map(str, roots))}. Move the model there, or let the operator add its folder to "
            "AFINADOR_MODEL_ROOTS; 'afinador create base-model' sends a folder of your own machine.",
            param="source",
            code=OUTSIDE_ROOTS,
        )


def _belongs_to_an_entry(settings: Settings, path: Path) -> bool:
    """Tell whether a path lies in what was sent or fetched for a base model, maybe of another organisation."""
    ours = (settings.home / "base-models").resolve()
    parts = path.relative_to(ours).parts if path.is_relative_to(ours) else ()
    return bool(parts) and _OWN_NAME.fullmatch(parts[0]) is not None
