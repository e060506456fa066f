"""Uploaded files and tokenizers, at hand for whoever looks at data before it is trained on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afinador.config.spec import BaseModelReference
from afinador.errors import AfinadorError, InvalidRequestError, ModelError
from afinador.models.headers import TOKENIZER_FILES
from afinador.models.tokenizer_folders import TokenizerFolder, tokenizer_folder
from registry.creation import job_bases
from registry.data_sets import file_checks, files
from registry.ledger.tables import File
from registry.memory import Memory
from registry.models.base_model_folders import local_folder, told_by_name

_BESIDE_TOKENIZERS = (
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class DatasetAtHand:
    """An uploaded file on this disk.

    Attributes:
        report: Its verdict, as ``afinador.data.validation.Report.to_json`` gives it.
        declared: How it is to be read, as ``DatasetReading.to_json`` gives it.
    """

    name: str
    path: Path
    report: dict[str, Any]
    declared: dict[str, Any] | None


@contextmanager
def at_hand(memory: Memory, organization_id: str, reference: str, param: str) -> Iterator[DatasetAtHand]:
    """Give a file of an organisation, checked; a file that waits for its check is checked now.

    Args:
        memory: Where it is.
        organization_id: Whose it is.
        reference: Id or name.
        param: The field of the request that named it, for errors.

    Raises:
        NotFoundError: The organisation has no such file, or its bytes are gone.
        InvalidRequestError: It is no data set, see ``files.find_data_set``; or it could not be checked.
        StorageError: The storage does not answer.
    """
    row = _file(memory, organization_id, reference, param)
    if row.status == "uploaded":
        file_checks.check(memory, row.id)
        row = _file(memory, organization_id, row.id, param)
    if row.report is None:
        raise InvalidRequestError(
            f"{row.filename!r} cannot be looked at as a data set. {row.status_details}", param=param
        )
    with file_checks.local_copy(memory, row) as path:
        yield DatasetAtHand(row.filename, path, row.report, row.reading)


@contextmanager
def tokenizer_of(memory: Memory, organization_id: str, name: str) -> Iterator[TokenizerFolder]:
    """Give the folder of a base model that an organisation may use, with at least its tokenizer.

    Raises:
        NotFoundError: There is none of this name; names the nearest.
        InvalidRequestError: The name is that of an adapter.
        ModelError: It is not ready, its files are gone, or hold no tokenizer.
        StorageError: The storage does not answer.
    """
    with memory.database.reading() as session:
        try:
            base = job_bases.find(session, memory, organization_id, name)
        except AfinadorError as error:
            error.param = "base_model"
            raise
    folder = local_folder(memory, base)
    with tempfile.TemporaryDirectory(prefix="afinador-tokenizer-") as temporary:
        if base.storage_prefix is not None and not (folder / "config.json").is_file():
            folder = _fetched(memory, base, Path(temporary))
        with told_by_name(folder, base.name):
            yield tokenizer_folder(folder)


def _file(memory: Memory, organization_id: str, reference: str, param: str) -> File:
    with memory.database.reading() as session:
        return files.find_data_set(session, organization_id, reference, param=param)


def _fetched(memory: Memory, base: BaseModelReference, folder: Path) -> Path:
    """Fetch what belongs to a tokenizer, and no weights."""
    wanted = {*_BESIDE_TOKENIZERS, *(name for names in TOKENIZER_FILES for name in names)}
    keys = [key for key in memory.storage.list(str(base.storage_prefix)) if os.path.basename(key) in wanted]
    if not keys:
        memory.storage.check()  # gone, or is the whole storage away?
        raise ModelError(
            f"The files of {base.name} are gone from the storage; choose another model.", param="base_model"
        )
    for key in keys:
        memory.storage.get_file(key, folder / os.path.basename(key))
    return folder
