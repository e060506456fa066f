"""What a folder or an archive holds that is not read: other splits, and files that hold no records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from afinador.data.files.formats import FORMATS_BY_EXTENSION, extension_of
from afinador.data.files.splits import ALL
from afinador.data.quoting import shortened
from afinador.data.records import Problem
from afinador.figures import counted

NAMES_TOLD = 8
_OF_DATASETS = re.compile(r"(.*/)?(dataset_infos?|dataset_dict|state)\.json|(.*/)?cache-[^/]*\.arrow|.*\.lock")
"""What ``datasets`` writes beside the data."""
_DESCRIBES = re.compile(r"readme|licen[cs]e|notice|sha256sums", re.IGNORECASE)
_TEXTS = (".md", ".markdown")


@dataclass
class Unread:
    """The files of a folder or an archive that are not read.

    Attributes:
        names: Theirs.
        read: How many files are read.
        is_chosen: Whether a person has declared what is read, as a split or config.
    """

    names: list[str] = field(default_factory=list)
    read: int = 0
    is_chosen: bool = False

    @property
    def doubt(self) -> Problem | None:
        """A warning on data files of other splits, if nobody has chosen one."""
        return None if self.is_chosen else self._other_splits()

    def notes(self) -> Iterator[Problem]:
        """Yield notes on data files of other splits, if somebody has chosen one, and on files that hold no data."""
        if self.is_chosen and (of_others := self._other_splits()) is not None:
            yield of_others
        others = [name for name in self.names if not _is_data(name) and not _OF_DATASETS.fullmatch(name)]
        if others:
            said = f"Not read, for their names are those of descriptions and programs: {_some_of(others)}."
            yield Problem("files_not_read", f"{said} {_remedy_of(others)}")

    def beside(self, other: Unread) -> Unread:
        """Return what is left where another part of the same data set is read, too, which somebody has declared."""
        names = set(other.names)
        return Unread([name for name in self.names if name in names], self.read + other.read, is_chosen=True)

    def _other_splits(self) -> Problem | None:
        data = [name for name in self.names if _is_data(name)]
        if not data:
            return None
        total = counted(len(data) + self.read, "data file")
        said = f"{len(data)} of {total} are not read, for they belong to other splits or configs: {_some_of(data)}."
        remedy = (
            f"To read all splits declare --split {ALL} (reading.split); to read a certain one its name, or --config."
        )
        return Problem("other_splits", f"{said} {remedy}")


def _remedy_of(names: Sequence[str]) -> str:
    described = [name for name in names if _DESCRIBES.match(PurePosixPath(name).name)]
    said = f"If {shortened(described[0])} holds records, give it another name." if described else ""
    if len(described) < len(names):
        said += " Give a file that holds records the extension of its format, such as .txt."
    return said.strip()


def _is_data(name: str) -> bool:
    is_read = FORMATS_BY_EXTENSION.get(extension_of(name)) not in (None, "folder")
    return (
        is_read
        and not _OF_DATASETS.fullmatch(name)
        and PurePosixPath(name).suffix.lower() not in _TEXTS
        and not _DESCRIBES.match(PurePosixPath(name).name)
    )


def _some_of(names: Sequence[str]) -> str:
    more = f" and {counted(len(names) - NAMES_TOLD, 'more file')}" if len(names) > NAMES_TOLD else ""
    return ", ".join(map(shortened, names[:NAMES_TOLD])) + more
