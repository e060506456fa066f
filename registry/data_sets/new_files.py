"""A new file: its bytes first, its row in a transaction that waits for nothing."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from afinador.errors import InvalidRequestError
from registry.data_sets import dataset_updates
from registry.ledger.ids import new_id
from registry.ledger.tables import File, Organization
from registry.memory import Memory

LONGEST_NAME = 255
TRAINING_PURPOSE = "fine-tune"
"""Of data sets; what is uploaded for anything else is not trained on."""
RESULT_PURPOSE = "fine-tune-results"


def stored(
    memory: Memory,
    organization_id: str,
    source: Path,
    filename: str,
    purpose: str,
    sha256: str,
    size: int,
    lineage: dict[str, Any] | None = None,
) -> File:
    """Copy a local file into the storage, and return the row that is yet to be inserted; delete its bytes if it is not.

    Raises:
        InvalidRequestError: The name is empty or longer than 255 characters.
        InsufficientStorageError: The disk of a local storage is too full.
        StorageError: The storage refuses or does not answer.
    """
    file = File(organization_id=organization_id, filename=checked_name(filename), purpose=purpose)
    file.id = new_id("file-")
    file.storage_key = f"{organization_id}/files/{file.id}/{file.filename}"
    file.sha256, file.bytes, file.lineage = sha256, size, lineage
    if purpose == RESULT_PURPOSE:
        file.type, file.status = "log", "processed"
    memory.storage.put_file(source, file.storage_key)
    return file


def checked_name(filename: str) -> str:
    """Return the name of a file as it is kept, without folders.

    Raises:
        InvalidRequestError: It is empty, longer than 255 characters, or holds what cannot be printed.
    """
    name = PurePosixPath(filename.replace("\\", "/")).name
    if not name or name == ".." or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequestError(
            f"The file name {filename[:80]!r} cannot be used; it must have 1 to {LONGEST_NAME} printable characters.",
            param="file",
        )
    return name


def insert(session: Session, file: File) -> None:
    """Write the row of a file, as the newest version of its name."""
    # Where the database knows row locks, uploads of one organisation take their version numbers one after the other.
    owner = select(Organization.id).where(Organization.id == file.organization_id)
    session.execute(owner.with_for_update(key_share=True))
    same_name = (File.organization_id == file.organization_id, File.filename == file.filename)
    file.version = (session.scalar(select(func.max(File.version)).where(*same_name)) or 0) + 1
    session.add(file)
    session.flush()
    if file.version > 1 and file.purpose == TRAINING_PURPOSE:
        dataset_updates.note(session, file)
