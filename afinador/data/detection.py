"""Which format a file has: by its name, checked against its first bytes."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path

from afinador.data.records import Format
from afinador.errors import DataError

FORMATS_BY_EXTENSION: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
}
ALLOWED = "CSV (.csv, .tsv), JSON (.json), JSON Lines (.jsonl, .ndjson) or plain text (.txt, .text, .md)"
HEAD_BYTES = 65536

# Files that are often uploaded by mistake; the sentence names what was found.
_FIRST_BYTES = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or an Office document",
    b"PK\x05\x06": "an empty zip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"SQLite format 3": "an SQLite database",
    b"version https://git-lfs": "a Git LFS pointer instead of the data (run `git lfs pull`)",
    codecs.BOM_UTF32_LE: "UTF-32 text",
    codecs.BOM_UTF32_BE: "UTF-32 text",
}
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_HIGHEST_BINARY_SHARE = 0.1


def encoding_of(path: Path) -> str:
    """Return ``utf-8-sig`` (also without a byte order mark) or, told by its mark, ``utf-16``."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def detect_format(path: Path, name: str) -> Format:
    """Return the format of a file.

    The extension decides, but a JSON array is read as JSON and JSON Lines as JSON Lines whichever of the two names
    they carry. A name without a known extension is judged by its content, if that is JSON.

    Args:
        path: Where the bytes are.
        name: The name that a person gave the file.

    Raises:
        DataError: The file is missing, empty, binary, in another encoding, or none of the four formats.
    """
    head = _head(path, name)
    text = head.decode(encoding_of(path), errors="replace").lstrip("\ufeff \t\r\n")
    if not text and path.stat().st_size <= HEAD_BYTES:
        raise DataError(f"{name!r} is empty. Upload a file with at least one record.")
    _refuse_binary(head, text, name)
    extension = Path(name).suffix.lower()
    declared = FORMATS_BY_EXTENSION.get(extension)
    if declared in ("csv", "text"):
        return declared
    by_content = _json_kind(text)
    if by_content is not None:
        return by_content
    if declared is None:
        raise DataError(
            f"{name!r} has the extension {extension!r}, which is none of the formats that are read: {ALLOWED}. "
            "Convert it, or give it the extension of its format."
        )
    return declared


def _head(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {name!r}. Check the path.") from error
    except OSError as error:
        raise DataError(f"{name!r} cannot be read: {error.strerror}. Name a file that can be opened.") from error
    if not head:
        raise DataError(f"{name!r} is empty (0 bytes). Upload a file with at least one record.")
    return head


def _refuse_binary(head: bytes, text: str, name: str) -> None:
    found = next((what for start, what in _FIRST_BYTES.items() if head.startswith(start)), None)
    if found is None and _PICKLE.match(head):
        found = "a Python pickle, which is never opened"
    if found is not None:
        raise DataError(f"{name!r} is {found}. Upload the data itself as {ALLOWED}, in UTF-8.")
    # NUL bytes that only fill the end are a damaged text file, whose bad line the reader can name.
    text = text.rstrip("\x00")
    strange = sum(1 for _ in _CONTROL_CHARACTER.finditer(text))
    if strange > _HIGHEST_BINARY_SHARE * len(text):
        raise DataError(
            f"{name!r} is no UTF-8 text: it is binary, or text in another encoding. Save it as UTF-8, as {ALLOWED}."
        )


def _json_kind(text: str) -> Format | None:
    if text.startswith("["):
        return "json"
    if not text.startswith("{"):
        return None
    first_line, _, rest = text.partition("\n")
    try:
        json.loads(first_line)
    except (ValueError, RecursionError):
        # A broken line, or one object over many lines: the name decides.
        return None
    return "jsonl" if rest.strip() else None
