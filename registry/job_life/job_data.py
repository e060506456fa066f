"""The data sets of a job: how each is read in it, and whether its verdict is about that."""

from __future__ import annotations

from collections.abc import Sequence

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.files.formats import FORMATS_BY_EXTENSION, extension_of, require_fit
from afinador.data.files.loaders import require_allowed_loader
from afinador.schemas.dataset_formats import Format
from afinador.schemas.datasets import DatasetReading, read_otherwise
from afinador.schemas.jobs import JobRequest
from registry.hugging_face.hub_sources import source_of
from registry.ledger.tables import File
from registry.memory import Memory


def declared_of(file: File) -> DatasetReading | None:
    """Return how a file is read by itself: as was declared at its upload."""
    return DatasetReading.model_validate(file.reading) if file.reading else None


def held_out_reading(memory: Memory, request: JobRequest, file: File) -> DatasetReading | None:
    """Return how the validation file of a job is read in it.

    Raises:
        InvalidRequestError: The request declares what cannot be, a loader of no allowed module, or what says nothing of the
            format of the file, where that is known already.
    """
    own = declared_of(file)
    reading = read_otherwise(own, request.validation_reading)
    require_allowed_loader(reading, memory.operator.get("loaders", []), param="validation_reading.loader")
    is_declared_again = reading is not None and (reading.loader or reading.format)
    is_found = own is None or not (own.loader or own.format)
    format = format_in_job(file, reading) if is_declared_again or is_found else None
    if request.validation_reading is not None and format is not None:
        require_fit(reading, format, file.filename)
    return reading


def data_file(file: File, reading: DatasetReading | None) -> DataFile:
    """Return a file as the specification of a job names it."""
    return DataFile(
        file_id=file.id,
        name=file.filename,
        path=file.storage_key,
        # What is not known of a file that is still being checked is corrected when the check is done.
        format=format_in_job(file, reading) or FORMATS_BY_EXTENSION.get(extension_of(file.filename), "jsonl"),
        sha256=file.sha256,
        bytes=file.bytes,
        reading=reading,
        source=source_of(file.source, file.revision),
    )


def format_in_job(file: File, reading: DatasetReading | None) -> Format | None:
    """Return the format that a file is read as in a job; None while it is still to be found."""
    if reading is not None and reading.loader is not None:
        return "custom"
    found: Format | None = file.format  # type: ignore[assignment]  # the check has found it
    return reading.format if reading is not None and reading.format is not None else found


def judged(spec: FineTuningSpec, data_files: Sequence[File]) -> list[File]:
    """Return those files of a job whose verdicts are about what the job reads; of another one the run judges itself."""
    read = [each for each in (spec.training_file, spec.validation_file) if each is not None]
    return [file for file, as_read in zip(data_files, read, strict=True) if declared_of(file) == as_read.reading]
