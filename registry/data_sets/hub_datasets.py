"""Data sets of the Hugging Face Hub: fetched once, kept as one archive each, of one commit."""

from __future__ import annotations

import glob
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from afinador.data.files.compressed import MAX_UNPACKED_BYTES
from afinador.data.files.dataset_cards import CARD, LARGEST_CARD_BYTES, DataCard
from afinador.data.files.folders import data_files
from afinador.errors import DataError
from afinador.packing import pack
from afinador.settings import Settings
from afinador.storage import require_free_space, sha256_of
from registry.data_sets.new_files import TRAINING_PURPOSE
from registry.hugging_face.hf_downloads import token, translated
from registry.hugging_face.hub_sources import DatasetSource, parse_dataset_source
from registry.ledger.database import changes
from registry.ledger.tables import File
from registry.memory import Memory

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

ARCHIVE = "data.tar"


@dataclass(frozen=True)
class _Repository:
    """A data set as the Hub describes it.

    Attributes:
        files: By name.
    """

    source: DatasetSource
    commit: str
    files: dict[str, RepoSibling]


def fetch(memory: Memory, file: File) -> File | None:
    """Bring the files of a data set into the storage, and return its row with hash, size and commit.

    What the organisation has of the same commit is not fetched again.

    Returns:
        None if the file was deleted or settled meanwhile.

    Raises:
        NotFoundError: No such repository or revision, or the token may not see it.
        PermissionDeniedError: The repository is gated for this token.
        ServiceUnavailableError: The Hub does not answer.
        DataError: The repository has no such config, no data files, too many bytes, or sends others than it tells.
        InsufficientStorageError: A disk is too full.
        StorageError: The storage does not answer.
    """
    source = parse_dataset_source(str(file.source))
    with tempfile.TemporaryDirectory(prefix="fetched-", dir=memory.settings.home) as temporary:
        folder = Path(temporary)
        repository = _look_up(memory.settings, source)
        archive = folder / ARCHIVE
        if not _copy_known(memory, file, repository.commit, archive):
            _download(memory.settings, repository, folder / "files", archive)
        found = {"sha256": sha256_of(archive), "bytes": archive.stat().st_size, "revision": repository.commit}
        memory.storage.put_file(archive, file.storage_key)
    with memory.database.session() as session:
        waiting = (File.id == file.id, File.status == "uploaded", File.deleted_at.is_(None))
        if not changes(session, update(File).where(*waiting).values(**found)):
            memory.storage.delete(file.storage_key)
            return None
        return session.get_one(File, file.id, populate_existing=True)


def find_fetched(session: Session, organization_id: str, source: str, *, param: str = "source") -> File | None:
    """Return the newest file of a source on the Hugging Face Hub that is good or may still be; None if there is none.

    Raises:
        InvalidRequestError: It is no ``hf://owner/name[:config][@revision]``.
    """
    wanted = parse_dataset_source(source, param=param)
    query = (
        select(File)
        .where(File.organization_id == organization_id, File.deleted_at.is_(None))
        .where(File.source == str(wanted), File.status != "error", File.purpose == TRAINING_PURPOSE)
    )
    plain = only_config(wanted) or None  # what is read in another way has to be named by its id
    return next((file for file in session.scalars(query.order_by(File.version.desc())) if file.reading == plain), None)


def only_config(source: DatasetSource) -> dict[str, Any]:
    """Return how a source is read by itself: the config that it names."""
    return {"config": source.config} if source.config else {}


def _look_up(settings: Settings, source: DatasetSource) -> _Repository:
    from huggingface_hub import HfApi  # half a second to import

    with translated(settings, source):
        api = HfApi(endpoint=settings.hf_endpoint, token=token(settings))
        info = api.dataset_info(source.repository, revision=source.revision, files_metadata=True)
    return _Repository(source, info.sha or "", {each.rfilename: each for each in info.siblings or []})


def _copy_known(memory: Memory, file: File, commit: str, archive: Path) -> bool:
    """Copy what was fetched of this commit before, if it is still there."""
    with memory.database.reading() as session:
        same = select(File).where(File.organization_id == file.organization_id, File.filename == file.filename)
        known = session.scalars(same.where(File.revision == commit, File.deleted_at.is_(None))).first()
    if known is None or not memory.storage.exists(known.storage_key):
        return False
    memory.storage.get_file(known.storage_key, archive)
    return sha256_of(archive) == known.sha256


def _download(settings: Settings, repository: _Repository, folder: Path, archive: Path) -> None:
    card = DataCard()
    if CARD in repository.files and (repository.files[CARD].size or 0) <= LARGEST_CARD_BYTES:
        _fetch(settings, repository, [CARD], folder)
        card = DataCard.read(folder / CARD)
    names = data_files(list(repository.files), card, repository.source.config)
    total_bytes = sum(repository.files[name].size or 0 for name in names)
    if total_bytes > MAX_UNPACKED_BYTES:
        raise DataError(
            f"Its data files have {total_bytes / 2**30:.1f} GiB; at most {MAX_UNPACKED_BYTES / 2**30:.0f} GiB are fetched. "
            "Choose a smaller config, or upload a part."
        )
    require_free_space(folder.parent, 2 * total_bytes, f"Fetching {repository.source}")
    _fetch(settings, repository, names, folder)
    _require_same_bytes(repository, names, folder)
    pack(folder, [*([CARD] if (folder / CARD).is_file() else []), *names], archive)


def _fetch(settings: Settings, repository: _Repository, names: list[str], folder: Path) -> None:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    constants.HF_HUB_DISABLE_XET = True  # as for base models
    with translated(settings, repository.source):
        folder.mkdir(parents=True, exist_ok=True)
        snapshot_download(
            repository.source.repository,
            repo_type="dataset",
            revision=repository.commit,
            local_dir=folder,
            allow_patterns=[glob.escape(name) for name in names],
            endpoint=settings.hf_endpoint,
            token=token(settings),
        )


def _require_same_bytes(repository: _Repository, names: list[str], folder: Path) -> None:
    for name in names:
        path, told = folder / name, repository.files[name]
        same_size = path.is_file() and told.size in (None, path.stat().st_size)
        if not same_size or (told.lfs is not None and sha256_of(path) != told.lfs.sha256):
            raise DataError(f"{name} arrived with other bytes than the Hub tells.")
