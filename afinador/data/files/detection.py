"""Which format a file has: by its name, checked against its first bytes."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.data.files.compressed import open_unpacked
from afinador.data.files.formats import ALLOWED, FORMATS, FORMATS_BY_EXTENSION, extension_of, require_fit
from afinador.data.records import Encoding, Format
from afinador.errors import DataError

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

HEAD_BYTES = 65536

_TAR = slice(257, 262)
# Files that are often uploaded by mistake; the sentence names what was found.
_FIRST_BYTES = {
    b"\x1f\x8b": "a gzip archive within another",
    b"PK\x03\x04": "a zip archive or an Office document",
    b"PK\x05\x06": "an empty zip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive within another",
    b"SQLite format 3": "an SQLite database",
    b"version https://git-lfs": "a Git LFS pointer instead of the data (run `git lfs pull`)",
    codecs.BOM_UTF32_LE: "UTF-32 text",
    codecs.BOM_UTF32_BE: "UTF-32 text",
}
# How files begin that are no text, by format.
_BEGINNINGS: dict[Format, tuple[bytes, ...]] = {
    "parquet": (b"PAR1",),
    "arrow": (b"ARROW1", b"\xff\xff\xff\xff"),
    "folder": (b"PK\x03\x04", b"PK\x05\x06"),
}
_SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_PAGE = re.compile(r"<(?:!doctype\s|html[\s>]|\?xml\s)", re.IGNORECASE)
_ARRAY_OF_OBJECTS = re.compile(r"\[\s*\{")
_LINE_OF_JSON = re.compile(r"^[ \t]*[{\[]", re.MULTILINE)
# Names that begin with a letter, parted by one sign.
_HEADER = re.compile(
    r"""["']?[^\W\d][\w .-]{0,59}["']?([,;\t|])["']?[^\W\d][\w .-]{0,59}["']?(?:\1["']?[\w .-]{0,60}["']?){0,100}"""
)
_HIGHEST_BINARY_SHARE = 0.1
_HIGHEST_CONTROL_SHARE = 0.01
_HIGHEST_LETTER_SHARE = 0.4
"""So many letters have an accent in languages that Latin-1 is for, and more; other alphabets have no ASCII but spaces."""
_CODECS: dict[Encoding, str] = {
    "utf-8": "utf-8-sig",
    "utf-16": "utf-16",
    "latin-1": "latin-1",
    "windows-1252": "cp1252",
}
ENCODING_REMEDY = "Save it as UTF-8, or declare its encoding (utf-16, latin-1, windows-1252)"


def encoding_of(path: Path, declared: Encoding | None = None) -> str:
    """Return Python's name of the encoding: the declared one, else ``utf-16`` or ``utf-8-sig`` by the first bytes.

    UTF-16 without a byte order mark, which has to be declared, is ``utf-16-le`` or ``utf-16-be``.

    Raises:
        DataError: A byte order mark says something else than what is declared.
    """
    with open_unpacked(path) as file:
        head = file.read(64)
    marked: Encoding | None = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None
    marked = "utf-8" if head.startswith(codecs.BOM_UTF8) else marked
    if declared is not None and marked not in (None, declared):
        raise DataError(
            f"encoding is declared as {declared}, but the file begins with the byte order mark of {marked}. "
            "Leave the declaration out."
        )
    if declared == "utf-16" and marked is None:  # most characters have a zero byte: before or behind the other?
        return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"
    return _CODECS[declared or marked or "utf-8"]


def require_fit_to_content(
    reading: DatasetReading | None, path: Path, name: str, *, param: str = "validation_reading"
) -> None:
    """Do as ``require_fit`` of a data set whose format is to be found; of one that has none its report tells.

    Raises:
        InvalidRequestError: As ``require_fit`` does.
    """
    try:
        format = detect_format(path, name, reading)
    except DataError:
        return
    require_fit(reading, format, name, param=param)


def detect_format(path: Path, name: str, reading: DatasetReading | None = None) -> Format:
    """Return the format of a file, a folder or an archive.

    What is declared decides, then the extension, but a JSON array is read as JSON and JSON Lines as JSON Lines
    whichever of the two names they carry. A name without a known extension is judged by its content, if that is JSON.

    Args:
        path: Where the bytes are.
        name: The name that a person gave the file.
        reading: What is declared.

    Raises:
        DataError: The file is missing, empty, binary, in another encoding, or none of the formats.
    """
    if reading is not None and reading.loader is not None:
        return "custom"
    stated = reading.format if reading else None
    if path.is_dir():
        if stated not in (None, "folder"):
            raise DataError(f"{name!r} is a folder, but format is declared as {stated}. Name one file in it.")
        return "folder"
    head = _head(path, name)
    extension = extension_of(name)
    format = stated or FORMATS_BY_EXTENSION.get(extension)
    if format in _BEGINNINGS:
        _require_beginning(head, format, name, is_declared=stated is not None)
        return format
    encoding = reading.encoding if reading else None
    text = head.decode(encoding_of(path, encoding), errors="replace").lstrip("\ufeff \t\r\n")
    if not text and len(head) < HEAD_BYTES:
        raise DataError(f"{name!r} is empty. Upload a file with at least one record.")
    _refuse_table_or_archive(head, name, stated)
    _refuse_binary(head, text, name)
    if stated is not None or format == "text":
        return format  # type: ignore[return-value]  # the last branch tells that it is not None
    _refuse_page(format, text, name)
    if format == "csv":
        if not (reading and reading.columns):
            _refuse_json_as_csv(text, name)
        return format
    return _json_or(format, text, name, extension)


def _json_or(format: Format | None, text: str, name: str, extension: str) -> Format:
    by_content = _json_kind(text)
    if by_content is not None:
        return by_content
    if format is None:
        raise DataError(
            f"{name!r} has the extension {extension!r}, which is none of the formats that are read: {ALLOWED}. "
            "Convert it, give it the extension of its format, or declare its format."
        )
    if _looks_like_csv(text):
        raise _misnamed(name, format, "csv", "its first line names columns, and no line begins as JSON does")
    return format


def _refuse_page(format: Format | None, text: str, name: str) -> None:
    found = _PAGE.match(text)
    if format is not None and found is not None:
        what = (
            "an XML document" if found[0].startswith("<?") else "an HTML page, as a server sends it instead of a file"
        )
        raise DataError(
            f"{name!r} is named as {FORMATS[format].title} is, but is {what}. Fetch the data themselves, as {ALLOWED}."
        )


def _refuse_json_as_csv(text: str, name: str) -> None:
    if _ARRAY_OF_OBJECTS.match(text):
        raise _misnamed(name, "csv", "json", "it begins with an array of objects")
    if text.startswith("{") and _is_json(text.partition("\n")[0]):
        raise _misnamed(name, "csv", "jsonl", "its first line is a JSON object")


def _looks_like_csv(text: str) -> bool:
    """Tell whether a text begins with a line of names, parted as the next line is, and has no line of JSON."""
    header, _, rest = text.partition("\n")
    second = rest.lstrip().partition("\n")[0]
    found = _HEADER.fullmatch(header.rstrip("\r"))
    return found is not None and found[1] in second and _LINE_OF_JSON.search(text) is None


def _misnamed(name: str, format: Format, likely: Format, why: str) -> DataError:
    return DataError(
        f"{name!r} is named as {FORMATS[format].title} is, but looks like {FORMATS[likely].title}: {why}. Give it the "
        f"extension {FORMATS[likely].extensions[0]}, or declare format {likely}."
    )


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _head(path: Path, name: str) -> bytes:
    try:
        with open_unpacked(path) as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {name!r}. Check the path.") from error
    except OSError as error:
        raise DataError(f"{name!r} cannot be read: {error.strerror}. Name a file that can be opened.") from error
    except DataError as error:
        raise DataError(f"{name!r}: {error.message}") from error
    if not head:
        raise DataError(f"{name!r} is empty (0 bytes). Upload a file with at least one record.")
    return head


def _require_beginning(head: bytes, format: Format, name: str, *, is_declared: bool) -> None:
    if head.startswith(_BEGINNINGS[format]) or (format == "folder" and head[_TAR] == b"ustar"):
        return
    said = f"is declared as {FORMATS[format].title}" if is_declared else f"is named as {FORMATS[format].title} is"
    found = _known_beginning(head) or "something else"
    raise DataError(f"{name!r} {said}, but is {found}. Give it the extension of its format, or make it again.")


def _refuse_table_or_archive(head: bytes, name: str, declared: Format | None) -> None:
    """Refuse what is read, but not as a text."""
    is_tar = head[_TAR] == b"ustar"
    formats = (format for format, beginnings in _BEGINNINGS.items() if head.startswith(beginnings))
    format: Format | None = "folder" if is_tar else next(formats, None)
    if format is None or extension_of(name) in _SPREADSHEETS:
        return
    found = _known_beginning(head)
    if declared is not None:
        said = f"{name!r} is declared as {FORMATS[declared].title}, but is {found}. Declare format {format} instead"
    else:
        extension = ".tar" if is_tar else FORMATS[format].extensions[0]
        said = f"{name!r} is {found}. Give it the extension {extension}"
    or_else = "; of an Office document save the data as CSV" if head.startswith(b"PK") else ""
    raise DataError(f"{said}{or_else}.")


def _known_beginning(head: bytes) -> str | None:
    if _PICKLE.match(head):
        return "a Python pickle, which is never opened"
    if head[_TAR] == b"ustar":
        return "a tar archive"
    return next((what for start, what in _FIRST_BYTES.items() if head.startswith(start)), None)


def _refuse_binary(head: bytes, text: str, name: str) -> None:
    found = _known_beginning(head)
    if found is not None and extension_of(name) in _SPREADSHEETS:
        raise DataError(
            f"{name!r} is a spreadsheet. Save it as CSV, in UTF-8, with the names of the columns in its first line."
        )
    if found is not None:
        raise DataError(f"{name!r} is {found}. Upload the data itself as {ALLOWED}, in UTF-8.")
    # NUL bytes that only fill the end are a damaged text file, whose bad line the reader can name.
    text = text.rstrip("\x00")
    strange = sum(1 for _ in _CONTROL_CHARACTER.finditer(text))
    undecoded = text.count("\ufffd")
    if strange - undecoded <= _HIGHEST_CONTROL_SHARE * len(text) and undecoded <= _HIGHEST_LETTER_SHARE * len(text):
        return  # words of Latin-1 and the like, whose first line the reader can name
    if strange > _HIGHEST_BINARY_SHARE * len(text):
        raise DataError(
            f"{name!r} is no UTF-8 text: it is text in another encoding, or binary. {ENCODING_REMEDY}; if it is "
            f"no text, upload the data themselves, as one of: {ALLOWED}."
        )


def _json_kind(text: str) -> Format | None:
    if text.startswith("["):
        return "json"
    if not text.startswith("{"):
        return None
    first_line, _, rest = text.partition("\n")
    # Of a broken line, or one object over many lines, the name decides.
    return "jsonl" if _is_json(first_line) and rest.strip() else None
