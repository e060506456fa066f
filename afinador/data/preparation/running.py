"""A preparation from file to file, with what each step did and where the records came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.data.files.compressed import is_compressed
from afinador.data.files.detection import detect_format
from afinador.data.files.readers import read_records
from afinador.data.files.writers import EXTENSIONS, NOTHING_LEFT, nothing_left, write_lines, write_records
from afinador.data.preparation.faults import nothing_left_of, require_faultless
from afinador.data.preparation.lineage import Prepared, Written, hash_of, write_lineage
from afinador.data.preparation.passage import Passage, Progress
from afinador.data.preparation.pipeline import Pipeline, required
from afinador.data.preparation.rows import Means, Row
from afinador.data.preparation.sources import Source
from afinador.data.preparation.spool import Spool
from afinador.data.preparation.targets import (
    format_of_name,
    lineage_beside,
    path_of_part,
    prepared_name,
    require_free,
    targets_of,
)
from afinador.data.quoting import shortened
from afinador.data.records import Format, Problem, Record
from afinador.errors import DataError, InvalidRequestError
from afinador.storage import sha256_of

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

BLOCK_BYTES = 1 << 20


def run_to_file(
    found: Iterable[Record | Problem],
    name: str,
    pipeline: Pipeline,
    target: Path,
    format: Format,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
    watch: Callable[[], None] | None = None,
) -> Prepared:
    """Take records through a pipeline and write what comes out.

    Args:
        found: What was read of the data set; a ``Source`` that is large may be shared among processes.
        name: The data set's, for messages.
        pipeline: The steps.
        target: The file; of a data set that is split ``NAME-train.EXTENSION`` and so on beside it.
        format: How to write it.
        processes: How many do it, 1 for this one alone; by default as many as the data set is worth.
        progress: Is told, now and then, how far it is.
        watch: Is called with every record that is read, or part of many, and about once a second while there is none.

    Raises:
        DataError: Something cannot be read, a record does not fit a step or the format, or none is left. Of a ``Source`` with
            several faults ``problems`` has the first ten of each kind.
        StorageError: A file cannot be written.
    """
    try:
        with Passage(found, name, pipeline, processes, progress=progress, watch=watch) as passage:
            if pipeline.parts:
                files = _write_parts(passage.rows(), pipeline.parts, target, format)
            elif format == "jsonl":
                files = [_written(write_lines(passage.lines(), target), target, None)]
            else:
                files = [_written(write_records((row.record for row in passage.rows()), target, format), target, None)]
    except (DataError, InvalidRequestError) as error:
        if isinstance(error, DataError) and error.fault == NOTHING_LEFT:
            raise nothing_left_of(target.name, name, pipeline.tallies) from error
        if isinstance(error, DataError) and isinstance(found, Source):
            require_faultless(found, name, pipeline, watch)
        error.begin_with(name)
        raise
    return Prepared(name, files, pipeline.tallies, passage.read)


def prepare_file(
    source: Path,
    steps: Any,
    *,
    target: Path | None = None,
    format: Format | None = None,
    means: Means | None = None,
    reading: DatasetReading | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Prepared:
    """Prepare a file of this machine; what came of it is written beside the result, as ``FILE.lineage.json``.

    Args:
        source: The data set, a file or a folder.
        steps: See ``Pipeline``; other data sets that a step names are paths beside the source.
        target: ``NAME-prepared.EXTENSION`` beside the source if omitted; compressed if its name ends with .gz or .zst.
        format: How to write it; what the target's extension says, else as the source is, if omitted.
        means: What steps need beside the records.
        reading: What is declared of how the source is to be read.
        processes: How many do it, 1 for this one alone; by default as many as the data set is worth.
        progress: Is told, now and then, how far it is.
        overwrite: Replace files that are there; the data set itself is never replaced.

    Raises:
        InvalidRequestError: A step is unknown or has a bad value, or there is a file where one would be written.
        DataError: The data set cannot be read, a record does not fit, or none is left.
        StorageError: A file cannot be written.
    """
    found = detect_format(source, source.name, reading)
    if format is None:
        format = format_of_name(target.name) if target else found if found in EXTENSIONS else "jsonl"
    target = target or source.with_name(prepared_name(source.name, format))
    if target.resolve() == source.resolve():
        raise InvalidRequestError("The output is the data set itself. Name another file.", param="output")
    pipeline = Pipeline(steps, replace(means or Means(), read_documents=lambda name: _documents(source, name)))
    lineage = lineage_beside(target)
    require_free([*targets_of(target, pipeline.parts), lineage], source, overwrite=overwrite)
    records = Source(source, found, reading)
    prepared = run_to_file(records, source.name, pipeline, target, format, processes=processes, progress=progress)
    write_lineage(prepared, hash_of(source), steps, lineage)
    return prepared


def lines_to_read(source: Path, reading: DatasetReading | None = None) -> int | None:
    """Return how many lines reading will go through; None where they are not counted faster than read."""
    if detect_format(source, source.name, reading) not in ("jsonl", "csv", "text") or is_compressed(source):
        return None
    with source.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))


def _documents(source: Path, name: str) -> Iterator[Record]:
    path = source.parent / Path(name).expanduser()
    if not path.exists():
        raise DataError(
            f"'documents' names the data set {shortened(name, 200)}, and there is none at {shortened(str(path.absolute()), 400)}: paths are "
            f"taken from the folder of {shortened(source.name)}. Write the path from there, or an absolute one."
        )
    return required(read_records(path, detect_format(path, path.name)), path.name)


def _write_parts(rows: Iterator[Row], parts: Iterable[str], target: Path, format: Format) -> list[Written]:
    with ExitStack() as stack:
        spools = {part: stack.enter_context(Spool()) for part in parts}
        for row in rows:
            spools[row.part or ""].add(row)
        filled = {part: spool for part, spool in spools.items() if len(spool)}
        if not filled:
            raise nothing_left(target.name)
        files = []
        for part, spool in filled.items():
            path = path_of_part(target, part)
            files.append(_written(write_records((row.record for row in spool), path, format), path, part))
        return files


def _written(records: int, path: Path, part: str | None) -> Written:
    return Written(path, part, records, path.stat().st_size, sha256_of(path))
