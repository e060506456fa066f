"""What a folder or an archive holds that is not read: other splits, and files that hold no records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from afinador.data.files.formats import FORMATS_BY_EXTENSION, extension_of
from afinador.data.quoting import shortened
from afinador.data.records import Problem
from afinador.figures import counted

NAMES_TOLD = 8
_OF_DATASETS = re.compile(r"(.*/)?(dataset_infos?|dataset_dict|state)\.json|(.*/)?cache-[^/]*\.arrow|.*\.lock")
"""What ``datasets`` writes beside the data."""
_DESCRIBES = re.compile(r"readme|licen[cs]e|notice|sha256sums", re.IGNORECASE)
_TEXTS = (".md", ".markdown")


def notes_on_unread(names: Sequence[str]) -> Iterator[Problem]:
    """Yield a note on data files that were not read, and one on all others.

    Args:
        names: Those of all files of the folder that were not read.
    """
    names = [name for name in names if not _OF_DATASETS.fullmatch(name)]
    data = [name for name in names if _is_data(name)]
    others = [name for name in names if not _is_data(name)]
    if data:
        said = f"Not read, for they belong to other splits or configs: {_some_of(data)}."
        remedy = "To read one of these declare it: --split or --config (reading.split, reading.config)."
        yield Problem("other_splits", f"{said} {remedy}")
    if others:
        said = f"Not read, for their names are those of descriptions and programs: {_some_of(others)}."
        yield Problem("files_not_read", f"{said} {_remedy_of(others)}")


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
