"""What came of a preparation, and its lineage: the file beside prepared files that tells where they came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from afinador.data.preparation.rows import Tally, reported
from afinador.data.preparation.targets import lineage_beside, path_of_part, targets_of
from afinador.packing import pack_folder
from afinador.storage import sha256_of


@dataclass(frozen=True)
class Written:
    """One file that was made.

    Attributes:
        part: ``train``, ``validation`` or ``test``; None where the data set was not split.
    """

    path: Path
    part: str | None
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Prepared:
    """What came of a preparation.

    Attributes:
        source: Name of the data set that was prepared.
        files: What was written, in the order of the parts.
        steps: What each step did.
        read: Records that were read.
    """

    source: str
    files: list[Written]
    steps: list[Tally]
    read: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        files = [{**asdict(file), "path": str(file.path)} for file in self.files]
        return {"source": self.source, "records": self.read, "files": files, "steps": reported(self.steps)}


def hash_of(source: Path) -> str:
    """Return the SHA-256 of a data set; of a folder that of the archive as which it would be uploaded."""
    if source.is_file():
        return sha256_of(source)
    with TemporaryDirectory() as scratch:
        return sha256_of(pack_folder(source, Path(scratch), follows_links=True))


def write_lineage(
    prepared: Prepared, source_sha256: str, steps: Any, path: Path, formats: Mapping[str, str] | None = None
) -> None:
    """Write down where prepared files came from: the source's hash, the steps as they were given, what each did.

    Args:
        prepared: What came of it.
        source_sha256: See ``hash_of``.
        steps: As they were given.
        path: Where to write it.
        formats: How the source was read and the files were written, of what is to be recognised by ``made_before``.
    """
    document = {**prepared.to_json(), "source_sha256": source_sha256, "pipeline": steps, **(formats or {})}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def made_before(
    source: Path, steps: Any, formats: Mapping[str, str], target: Path, parts: Iterable[str]
) -> list[Path] | None:
    """Return the files that the same preparation has left, if all of them are there and as they were written.

    Args:
        source: The data set, whose bytes must be the same.
        steps: Which must be the same.
        formats: As they were given to ``write_lineage``.
        target: Where the files would be written.
        parts: Of a data set that would be split.

    Returns:
        None if there is nothing, or anything that another preparation or another hand may have left.
    """
    try:
        told = json.loads(lineage_beside(target).read_text(encoding="utf-8"))
        same_steps = told["pipeline"] == json.loads(json.dumps(steps))
        if not same_steps or any(told.get(name) != value for name, value in formats.items()):
            return None
        files = {
            path_of_part(target, file["part"]) if file["part"] else target: file["sha256"] for file in told["files"]
        }
        there = {path for path in targets_of(target, parts) if path.exists() or path.is_symlink()}
        is_unchanged = there == set(files) and all(sha256_of(path) == sha256 for path, sha256 in files.items())
        return list(files) if is_unchanged and told["source_sha256"] == hash_of(source) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no lineage, or none of ours
        return None
