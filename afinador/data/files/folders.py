"""A folder or an archive of several files as one data set, of which one split is read.

What there is decides how it is read: what ``datasets.save_to_disk`` has left; a repository of data files, told by its
README.md or by names such as ``train-00000-of-00001.parquet``; or JSON documents, all of them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.data.files.archives import MOST_FILES, unpacked
from afinador.data.files.compressed import open_unpacked
from afinador.data.files.dataset_cards import CARD, DataCard
from afinador.data.files.detection import encoding_of
from afinador.data.files.formats import FORMATS_BY_EXTENSION, extension_of
from afinador.data.files.json_documents import LONGEST_VALUE_CHARACTERS
from afinador.data.files.json_values import BrokenJSONError, Decoder
from afinador.data.files.saved_datasets import is_saved_dataset, shards_of
from afinador.data.files.splits import ALL, SPLIT, chosen_splits
from afinador.data.files.tables import Labels, read_arrow, read_parquet
from afinador.data.files.unread import Unread
from afinador.data.quoting import masked, shortened
from afinador.data.records import Encoding, Problem, Record
from afinador.errors import DataError
from afinador.storage import sha256_of

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

ReadMember = Callable[[Path, str], Iterator[Record | Problem]]

_SPLIT_WORDS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "dev": "validation",
    "val": "validation", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")
_SIDE_FILE = re.compile(
    r"(.*/)?(readme.*|licen[cs]e.*|notice.*|sha256sums.*|dataset_infos?\.json|state\.json|.*\.(md|ya?ml|py|sha256))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Member:
    """A file of a data set that has several.

    Attributes:
        name: As it is told, relative to the folder or archive that a person named, with forward slashes.
        labels: Names of ClassLabels that the folder tells.
    """

    path: Path
    name: str
    labels: Labels | None = None


def read_folder(
    path: Path, reading: DatasetReading | None, read_member: ReadMember, unread: Unread | None = None
) -> Iterator[Record | Problem]:
    """Yield the records of one split, numbered through, each with the file it is of.

    Args:
        path: A folder, or an archive (zip, tar, compressed tar).
        reading: What is declared; its ``config``, ``split`` and ``encoding`` are used here.
        read_member: Reads a file that is no table, as it is declared.
        unread: Gets what is not read.

    Raises:
        DataError: The archive is damaged, hostile or too large; there is no such split, or nothing to read.
    """
    encoding = reading.encoding if reading else None
    with unpacked(path) as folder:
        number = 0
        members = members_of(folder, reading)
        if unread is not None:
            taken, root = {member.name for member in members}, _inner(folder)
            names = (_way_to(root, folder) + name for name in _names_below(root))
            is_chosen = reading is not None and (reading.split or reading.config) is not None
            unread.take((name for name in names if name not in taken), len(members), is_chosen=is_chosen)
        for member in members:
            for found in _read(member, read_member, encoding):
                number += 1
                yield _placed(found, member.name, number)


def members_of(folder: Path, reading: DatasetReading | None = None) -> list[Member]:
    """Return the files of a folder that one split is read from, in order.

    Raises:
        DataError: There is no such split, or nothing to read, or what is to be read cannot be told.
    """
    config, split = (reading.config, reading.split) if reading else (None, None)
    root = _inner(folder)
    way = _way_to(root, folder)
    if is_saved_dataset(root):
        return [Member(path, path.relative_to(folder).as_posix(), labels) for path, labels in shards_of(root, split)]
    names = _names_below(root)
    card = DataCard.read(root / CARD)
    if card.configs:
        return [Member(root / name, way + name, card.labels(config)) for name in card.files(names, config, split)]
    if config not in (None, "default"):
        raise _no_configs(config)
    return [Member(root / name, way + name, card.labels(config)) for name in _of_split(names, split, way)]


def data_files(names: Sequence[str], card: DataCard, config: str | None) -> list[str]:
    """Return those of the files of a repository that its data set is read from, of all splits.

    Raises:
        DataError: There is no such config, or no file that is read.
    """
    if card.configs:
        splits = card.configs[str(card.config_name(config))]
        return sorted({name for split in splits for name in card.files(names, config, split)})
    if config not in (None, "default"):
        raise _no_configs(config)
    files = [name for name in names if not _SIDE_FILE.fullmatch(name) and not name.startswith(".")]
    files = [name for name in files if FORMATS_BY_EXTENSION.get(extension_of(name)) not in (None, "folder")]
    if not files:
        raise DataError(
            "The repository holds no data files that are read (Parquet, Arrow, JSON, JSON Lines, CSV, text); scripts are "
            "never run. Choose another revision, such as refs/convert/parquet."
        )
    return sorted(files)


def _no_configs(config: str | None) -> DataError:
    return DataError(f"config is {config!r}, but the data set's README.md declares none. Leave it out.")


def _inner(folder: Path) -> Path:
    """Go down where a folder holds nothing but another one, as archives often do."""
    while True:
        inside = [path for path in folder.iterdir() if not _is_hidden(path.name)]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]


def _way_to(root: Path, folder: Path) -> str:
    """Return what leads from a folder to one in it, before the names of its files."""
    return "" if root == folder else f"{root.relative_to(folder).as_posix()}/"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _names_below(root: Path) -> list[str]:
    """Return the files below a folder; nothing in it is left out but what is hidden.

    A link to a file is that file: caches of the Hugging Face Hub hold nothing else.

    Raises:
        DataError: There are too many, or something else than files and folders, or a folder that may not be read.
    """
    names: list[str] = []
    for folder, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in [*folders, *(name for name in files if not _is_hidden(name))]:
            path = Path(folder, name)
            if path.is_file():
                names.append(path.relative_to(root).as_posix())
            elif path.is_symlink() or not path.is_dir():
                what = "a link to no file" if path.is_symlink() else "neither a file nor a folder"
                said = f"The folder holds {shortened(path.relative_to(root).as_posix())}, which is {what}"
                raise DataError(f"{said}. Put there what it stands for, or leave it out.")
        if len(names) > MOST_FILES:
            raise DataError(f"The folder holds more than {MOST_FILES} files, the most that are read. Join them.")
    return sorted(names)


def _refuse(error: OSError) -> None:
    name = Path(str(error.filename)).name
    raise DataError(
        f"The folder {shortened(name)} cannot be read: {error.strerror}. Allow it, or leave the folder out."
    )


def content_of(path: Path) -> tuple[str, int]:
    """Return the hex SHA-256 and the size of a data set: of a file, or over the names and hashes of a folder's files.

    Raises:
        DataError: The folder, or a folder in it, cannot be read.
    """
    if not path.is_dir():
        return sha256_of(path), path.stat().st_size
    names = _names_below(path)
    lines = "".join(f"{sha256_of(path / name)}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest(), sum((path / name).stat().st_size for name in names)


def _of_split(names: list[str], split: str | None, way: str) -> list[str]:
    """Return the files of a split by their names; all of them where no name holds the word for one, or all are wanted.

    Args:
        names: Of the files.
        split: The one that is wanted.
        way: What leads to the files, which says nothing of their splits.
    """
    names = [name for name in names if not _SIDE_FILE.fullmatch(name)]
    foreign = [name for name in names if FORMATS_BY_EXTENSION.get(extension_of(name)) in (None, "folder")]
    if not names or foreign:
        found = (
            f"{shortened(way + foreign[0])}, which is none of the formats that are read" if foreign else "no data files"
        )
        raise DataError(f"The folder holds {found}. Leave only Parquet, Arrow, JSON, JSON Lines, CSV or text in it.")
    if split == ALL:
        return names
    splits: dict[str | None, list[str]] = {}
    for name in names:
        splits.setdefault(_split_in(name), []).append(name)
    if splits.keys() == {None}:
        if split not in (None, SPLIT):
            raise DataError(f"The folder has no split {split!r}: no file is named so. Name one of its files.")
        return names
    if None in splits:
        raise DataError(
            f"The folder holds {shortened(way + splits[None][0])}, which belongs to no split, beside files that do, such as "
            f"{shortened(way + next(files[0] for each, files in splits.items() if each))}. Declare "
            f"--split {ALL} (reading.split) to read all of them, or give all files names with train, validation or test, or none."
        )
    (chosen,) = chosen_splits([each for each in splits if each is not None], split)
    return splits[chosen]


def _split_in(name: str) -> str | None:
    words = _WORD.findall(name.lower())
    return next((_SPLIT_WORDS[word] for word in reversed(words) if word in _SPLIT_WORDS), None)


def _read(member: Member, read_member: ReadMember, encoding: Encoding | None) -> Iterator[Record | Problem]:
    format = FORMATS_BY_EXTENSION.get(extension_of(member.name))
    try:
        if format == "parquet":
            yield from read_parquet(member.path, member.labels)
        elif format == "arrow":
            yield from read_arrow(member.path, member.labels)
        elif format == "json" and (fields := _one_document(member.path, encoding)) is not None:
            yield Record(1, fields, "Record")
        else:
            yield from read_member(member.path, member.name)
    except DataError as error:
        yield Problem("unreadable_file", error.message)


def _one_document(path: Path, encoding: Encoding | None) -> dict[str, object] | None:
    """Return what a JSON document holds that is one record; None if it is an array, holds one, or is broken."""
    with io.TextIOWrapper(open_unpacked(path), encoding=encoding_of(path, encoding), newline="") as file:
        try:
            text = file.read(LONGEST_VALUE_CHARACTERS).strip(" \t\r\n")
            value, end = Decoder().decode_at(text, 0) if text.startswith("{") else (None, 0)
        except (UnicodeError, BrokenJSONError):
            return None
    is_record = isinstance(value, dict) and end == len(text) and not isinstance(value.get("data"), list)
    return value if is_record else None


def _placed(found: Record | Problem, name: str, number: int) -> Record | Problem:
    """Say of what is found where in the folder it lies; ``line`` counts the records of all files."""
    if isinstance(found, Record):
        origin = f"{masked(name)}, {found.unit.lower()} {found.line}"
        return replace(found, line=number, unit="Record", origin=origin)
    return replace(found, message=f"{masked(name)}: {found.message}", line=number)
