"""Where base models lie: folders of the operator's below the allowed roots, and our own for what was sent or fetched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from afinador.config.spec import BaseModelReference
from afinador.errors import AfinadorError, InvalidRequestError, NotFoundError, PermissionDeniedError
from afinador.models.headers import model_files
from afinador.settings import Settings
from registry.ledger.tables import BaseModel, HubVersion
from registry.memory import Memory

OUTSIDE_ROOTS = "outside_model_roots"
"""Code of the error by which a client knows that it has to send the files."""
_OWN_NAME = re.compile(r"(model|hub)_[a-z0-9]{24}")


def own_folder(settings: Settings, row: BaseModel | HubVersion) -> Path:
    """Return where the files of a base model lie that were sent or fetched."""
    return settings.home / "base-models" / row.id


def local_folder(memory: Memory, base: BaseModelReference) -> Path:
    """Return where a run finds its base model; one in a storage elsewhere has to be fetched there first."""
    if base.storage_prefix is None:
        return Path(base.path)
    return memory.storage.local_path(base.storage_prefix) or memory.settings.home / "base-models" / str(base.model_id)


def remove_own_folder(settings: Settings, row: BaseModel | HubVersion) -> None:
    """Remove what was sent or fetched; an operator's folder lies elsewhere and stays."""
    shutil.rmtree(own_folder(settings, row), ignore_errors=True)


def part_of(folder: Path, path: str) -> Path:
    """Return where a file lies of which not all was sent yet."""
    return folder / f"{path}.part"


@contextmanager
def told_by_name(folder: Path, name: str) -> Iterator[None]:
    """Let errors name the base model, not the folder that it lies in."""
    try:
        yield
    except AfinadorError as error:
        error.name_instead_of(folder, repr(name))
        raise


def allowed_folder(settings: Settings, name: str, source: str) -> Path:
    """Return the folder that the source of a base model names, without links.

    Raises:
        InvalidRequestError: It is no absolute path.
        PermissionDeniedError: It, or a file of the model in it, lies outside the allowed roots or belongs to another
            entry.
        NotFoundError: There is no such folder.
        UnsupportedModelError: Its weights are pickled, or some are missing.
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
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidRequestError(f"source is no folder that there can be: {why}.", param="source") from error
    _require_below_roots(settings, folder, source)
    if not is_there:
        raise NotFoundError(
            f"There is no folder {source}; give the one that holds config.json and the safetensors files.",
            param="source",
        )
    with told_by_name(folder, name):
        for file in model_files(folder) if (folder / "config.json").is_file() else ():
            # A link inside may lead out.
            _require_below_roots(settings, file.resolve(), f"{file.relative_to(folder).as_posix()} of {name!r}")
    return folder


def _require_below_roots(settings: Settings, path: Path, said: str) -> None:
    roots = [root.resolve() for root in settings.allowed_model_roots]
    if not any(path.is_relative_to(root) for root in roots) or _belongs_to_an_entry(settings, path):
        raise PermissionDeniedError(
            f"{said} lies outside the folders from which base models may be registered, which are the service's "
            "AFINADOR_MODEL_ROOTS. Move the model there, or let the operator add its folder to them; "
            "'afinador create base-model' sends a folder of your own machine.",
            param="source",
            code=OUTSIDE_ROOTS,
        )


def _belongs_to_an_entry(settings: Settings, path: Path) -> bool:
    """Tell whether a path lies in what was sent or fetched for a base model, maybe of another organisation."""
    ours = (settings.home / "base-models").resolve()
    parts = path.relative_to(ours).parts if path.is_relative_to(ours) else ()
    return bool(parts) and _OWN_NAME.fullmatch(parts[0]) is not None
