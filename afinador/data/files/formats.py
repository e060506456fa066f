"""The formats that are read: what each is called, which names its files have, what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from afinador.errors import InvalidRequestError
from afinador.schemas.dataset_formats import Format

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading


@dataclass(frozen=True)
class FormatRow:
    """One format, as its row in docs/formats.md tells it.

    Attributes:
        title: For people.
        extensions: Of its files, in small letters; the first is given to files that are written.
        holds: What is read from it.
        is_text: Whether it may be compressed, and has an encoding.
        is_written: Whether records are written in it, too.
    """

    title: str
    extensions: tuple[str, ...]
    holds: str
    is_text: bool = False
    is_written: bool = False


FORMATS: dict[Format, FormatRow] = {
    "jsonl": FormatRow(
        "JSON Lines", (".jsonl", ".ndjson"), "An object a line; blank lines do not count.", is_text=True, is_written=True
    ),
    "json": FormatRow(
        "JSON",
        (".json",),
        'An array of objects, or `{"data": [...]}`; objects in a second array, beside `data`, are refused.',
        is_text=True,
        is_written=True,
    ),
    "csv": FormatRow(
        "CSV, TSV",
        (".csv", ".tsv", ".tab"),
        "A header line, then a record a line; comma, semicolon, tab or `|`, the quote, and blanks before it, are found by the "
        "first lines; so are quotes that a backslash marks inside of values, and in a table parted by tabs quotes that are characters like "
        "all others, where that is certain, with a warning: `escape_character` and `quote_character` declare it. Inside of quoted values "
        "a backslash then marks a quote or another backslash; everywhere else it is a character. Values are text, and nothing else is written. A file without a header needs `columns`; a column without a name is called `column_3`, by its place.",
        is_text=True,
        is_written=True,
    ),
    "text": FormatRow(
        "TEXT", (".txt", ".text", ".md"),
        "Documents, parted by blank lines, or with `text_unit: lines` each line; each becomes `{text}`. Those of 12 words and more are "
        "compared with each other, and with another file; headings and the like may be there again.", is_text=True,
        is_written=True,
    ),
    "parquet": FormatRow(
        "Parquet", (".parquet",), "A record a row; null in a column that the shape needs is a fault, as in JSON, and any other is left out; ids of a "
        "ClassLabel become its names.",
        is_written=True,
    ),
    "arrow": FormatRow(
        "Arrow, file or stream", (".arrow", ".feather"), "As Parquet.", is_written=True
    ),
    "folder": FormatRow(
        "Folder or archive",
        (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst"),
        "What `datasets.save_to_disk` wrote; or a repository of data files (`configs` in its README.md, or names with "
        "`train`), of which one split is read, or with `split: all` all; or JSON documents, each an object, an array or lines. A report names the files that are not read; a warning those of other splits, where none is declared.",
    ),
    "custom": FormatRow("Custom", (), "What the function yields that `loader` names, of a module that the operator allowed."),
}  # fmt: skip

TAB_EXTENSIONS = (".tsv", ".tab")
"""Of those of CSV: values are parted by tabs."""

COMPRESSIONS = {".gz": "gzip", ".zst": "zstandard"}
"""By the extension behind that of a text format."""

FORMATS_BY_EXTENSION: dict[str, Format] = {
    extension: format for format, row in FORMATS.items() for extension in row.extensions
}

ALLOWED = "; ".join(f"{row.title} ({', '.join(row.extensions)})" for row in FORMATS.values() if row.extensions)


def misfit_of(reading: DatasetReading | None, format: Format, name: str) -> str | None:
    """Return what is declared of a data set and says nothing of its format, as a sentence; None where all has a meaning."""
    misfit = reading.misfit(format) if reading is not None else None
    if misfit is None:
        return None
    return f"{misfit}, and {name!r} is read as {FORMATS[format].title}. Leave it out, or declare format."


def require_fit(
    reading: DatasetReading | None, format: Format, name: str, *, param: str = "validation_reading"
) -> None:
    """Do nothing if all that a request declares of a data set has a meaning for its format.

    Args:
        reading: What it declares.
        format: As which the data set is read so.
        name: Of the data set.
        param: What to blame.

    Raises:
        InvalidRequestError: Something has none.
    """
    if misfit := misfit_of(reading, format, name):
        raise InvalidRequestError(f"{param}: {misfit}", param=param)


def compression_of(name: str) -> str | None:
    """Return the extension of the compression that a name says, ``.gz`` or ``.zst``; None of an archive."""
    lowered = name.lower()
    if lowered.endswith(FORMATS["folder"].extensions):
        return None
    return next((extension for extension in COMPRESSIONS if lowered.endswith(extension)), None)


def parted_name(name: str) -> tuple[str, str]:
    """Return what stands before the extensions of format and compression, and these: ``("letters", ".csv.gz")``."""
    compression = compression_of(name) or ""
    ending = extension_of(name) + compression
    if not name.lower().endswith(ending):  # packed twice
        ending = compression
    return name[: len(name) - len(ending)], name[len(name) - len(ending) :]


def extension_of(name: str) -> str:
    """Return the extension that says the format, in small letters; that of a compression is passed over."""
    lowered = name.lower()
    whole = next((each for each in FORMATS_BY_EXTENSION if each.count(".") > 1 and lowered.endswith(each)), None)
    if whole is not None:
        return whole
    for compression in COMPRESSIONS:
        lowered = lowered.removesuffix(compression)
    stem, dot, last = lowered.rpartition(".")
    return f".{last}" if stem and dot and "/" not in last else ""
