"""What a folder or an archive holds that is not read: other splits, and files that hold no records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
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
        data: Names of those that hold data, of other splits or configs.
        others: Names of descriptions and programs.
        read: How many files are read.
        is_chosen: Whether a person has declared what is read, as a split or config.
    """

    data: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    read: int = 0
    is_chosen: bool = False

    def take(self, names: Iterable[str], read: int, *, is_chosen: bool) -> None:
        """Put down what is not read; what ``datasets`` writes beside the data is none of it."""
        self.read, self.is_chosen = read, is_chosen
        for name in names:
            if not _OF_DATASETS.fullmatch(name):
                (self.data if _is_data(name) else self.others).append(name)

    @property
    def doubt(self) -> Problem | None:
        """A warning on data files of other splits, if nobody has chosen one."""
        return None if self.is_chosen else self._other_splits()

    def notes(self) -> Iterator[Problem]:
        """Yield notes on data files of other splits, if somebody has chosen one, and on files that hold no data."""
        if self.is_chosen and (of_others := self._other_splits()) is not None:
            yield of_others
        if self.others:
            said = f"Not read, for their names are those of descriptions and programs: {_some_of(self.others)}."
            yield Problem("files_not_read", f"{said} {_remedy_of(self.others)}")

    def beside(self, other: Unread) -> Unread:
        """Return what is left where another part of the same data set is read, too, which somebody has declared."""
        data, others = set(other.data), set(other.others)
        return Unread(
            [name for name in self.data if name in data],
            [name for name in self.others if name in others],
            self.read + other.read,
            is_chosen=True,
        )

    def _other_splits(self) -> Problem | None:
        if not self.data:
            return None
        total = counted(len(self.data) + self.read, "data file")
        said = f"{len(self.data)} of {total} are not read, for they belong to other splits or configs: {_some_of(self.data)}."
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
        is_read and PurePosixPath(name).suffix.lower() not in _TEXTS and not _DESCRIBES.match(PurePosixPath(name).name)
    )


def _some_of(names: Sequence[str]) -> str:
    more = f" and {counted(len(names) - NAMES_TOLD, 'more file')}" if len(names) > NAMES_TOLD else ""
    return ", ".join(map(shortened, names[:NAMES_TOLD])) + more
