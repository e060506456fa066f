"""The preparation of a data set: the file and a folder, the steps, and where what they make is kept."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.exc import SQLAlchemyError

from afinador.config.spec import DataFile
from afinador.data.files.detection import detect_format
from afinador.data.preparation import Means, Pipeline, Prepared, Source, format_of_name, run_to_file
from afinador.data.preparation.pipeline import required
from afinador.data.records import Record
from afinador.data.tokens.process import TokenProcess
from afinador.errors import AfinadorError, DataError, IllegalTransitionError
from afinador.figures import counted
from afinador.models.preparation_tokens import means_of_base_model
from afinador.schemas.datasets import DatasetReading
from afinador.settings import read_settings
from registry.creation import data_at_hand, preparations
from registry.data_sets import files
from registry.ledger.tables import File, Preparation
from registry.memory import Memory
from registry.prefect_api import Prefect
from tasks.data_files import local_copy

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""How long a locked or absent ledger is waited for."""


@dataclass
class Work:
    """A claimed preparation.

    Attributes:
        folder: Where files lie meanwhile; new for each run.
    """

    memory: Memory
    row: Preparation
    folder: Path
    _beaten_at: float = 0.0

    def watch(self) -> None:
        """Say about once a second that this process lives; to be called more often.

        Raises:
            IllegalTransitionError: The preparation is another run's by now.
        """
        if time.monotonic() - self._beaten_at >= BEAT_SECONDS:
            self._beaten_at = time.monotonic()
            self._beat()

    def _beat(self) -> None:
        try:
            with self.memory.database.session() as session:
                is_mine = preparations.beat(session, self.row)
        except SQLAlchemyError:
            logger.warning("The ledger does not answer; going on.", exc_info=True)
            return
        if not is_mine:
            raise IllegalTransitionError(f"{self.row.id} was cancelled, or is prepared by another run by now.")


def claim(preparation_id: str, flow_run_id: str) -> Work | None:
    """Begin with a preparation; None when it is done already, or was given to another run."""
    memory = Memory.open(read_settings(), patience_seconds=PATIENCE_SECONDS)
    me = psutil.Process()
    process = {"process_id": me.pid, "process_started_at": me.create_time(), "host": socket.gethostname()}
    with memory.database.session() as session:
        row = preparations.claim(session, preparation_id, flow_run_id, process)
    if row is None:
        return None
    folder = Path(memory.settings.runs_dir) / row.id
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    return Work(memory, row, folder)


@task(task_run_name="fetch data set", cache_policy=NO_CACHE, persist_result=False)
def fetch(work: Work) -> tuple[Path, File]:
    """Bring the data set to this machine, and return where it lies and its row.

    Raises:
        DataError: Its bytes are gone, or not what was uploaded.
        StorageError: The storage does not answer.
    """
    with work.memory.database.reading() as session:
        file = session.get_one(File, work.row.file_id)
    return _local(work, file), file


@task(task_run_name="take steps", cache_policy=NO_CACHE, persist_result=False)
def take_steps(work: Work, source: Path, file: File) -> Prepared:
    """Take the data set through the steps, into new files in the folder of the preparation.

    Raises:
        DataError: Something cannot be read, a record does not fit a step or the format, or none is left.
        IllegalTransitionError: The preparation was cancelled, or is another run's by now.
        ModelError: The base model's tokenizer cannot be used.
        NotFoundError: The base model is gone.
    """
    target = work.folder / "made" / Path(work.row.output).name
    found = _source(source, file)
    with _means(work) as means:
        pipeline = Pipeline(work.row.pipeline["steps"], means)
        prepared = run_to_file(
            found,
            file.filename,
            pipeline,
            target,
            format_of_name(work.row.output),
            progress=lambda *_: work.watch(),
            watch=work.watch,
        )
    for number, step in enumerate(prepared.steps, start=1):
        logger.info(
            "Step %d, %s: %d rows in, %d out, %d changed.", number, step.type, step.rows_in, step.rows_out, step.changed
        )
    return prepared


@task(task_run_name="keep files", cache_policy=NO_CACHE, persist_result=False)
def keep(work: Work, prepared: Prepared) -> str:
    """Register what was made as files with their lineage, and check them.

    Returns:
        A sentence on what was made.

    Raises:
        IllegalTransitionError: The preparation is another run's by now.
        StorageError: The storage refuses or does not answer.
    """
    made = preparations.succeed(work.memory, work.row, prepared)
    for file in made:
        files.check(work.memory, file.id)
    shutil.rmtree(work.folder, ignore_errors=True)
    named = ", ".join(
        f"{file.filename} ({file.id}, {counted(each.records, 'record')})"
        for file, each in zip(made, prepared.files, strict=True)
    )
    return f"Made of {counted(prepared.read, 'record')}: {named}."


def failed(work: Work, error: AfinadorError) -> str:
    """End the preparation with a reason, and return it."""
    told: dict[str, Any] = {"code": error.code, "message": error.message, "param": error.param}
    if isinstance(error, DataError) and len(error.problems) > 1:
        told["problems"] = error.problems
    with work.memory.database.session() as session:
        preparations.finish(session, work.row.id, "failed", told, _report_of(error))
    shutil.rmtree(work.folder, ignore_errors=True)
    return error.message


def _report_of(error: AfinadorError) -> dict[str, Any] | None:
    return {"steps": error.steps} if isinstance(error, DataError) and error.steps else None


def given_up(work: Work) -> None:
    """Remove what lies here of a preparation that was cancelled; of any other the run that has it by now uses the folder."""
    with work.memory.database.reading() as session:
        is_cancelled = session.get_one(Preparation, work.row.id).status == "cancelled"
    if is_cancelled:
        shutil.rmtree(work.folder, ignore_errors=True)


def interrupted(work: Work) -> None:
    """Write down that the run was cancelled in Prefect, which arrives as a signal; housekeeping sees to all else."""
    try:
        with Prefect(work.memory.settings, timeout_seconds=2) as prefect:
            state = prefect.run_state(work.row.flow_run_id or "")
        if state is not None and state.type in ("CANCELLING", "CANCELLED"):
            with work.memory.database.session() as session:
                preparations.finish(session, work.row.id, "cancelled")
    except (SQLAlchemyError, AfinadorError):
        logger.exception("The end could not be written down; housekeeping will.")


@contextmanager
def _means(work: Work) -> Iterator[Means]:
    """Give what the steps need beside the records; of a base model its tokenizer alone is fetched."""
    name = work.row.pipeline.get("base_model")
    if name is None:
        yield Means(read_documents=lambda reference: _documents(work, reference))
        return
    with data_at_hand.tokenizer_of(work.memory, work.row.organization_id, name) as folder, TokenProcess() as process:
        means = means_of_base_model(folder, process)
        yield replace(means, read_documents=lambda reference: _documents(work, reference))


def _documents(work: Work, reference: str) -> Iterator[Record]:
    with work.memory.database.reading() as session:
        file = files.find_data_set(session, work.row.organization_id, reference, param="steps")
    return required(_source(_local(work, file), file), file.filename)


def _source(path: Path, file: File) -> Source:
    reading = DatasetReading.model_validate(file.reading) if file.reading else None
    return Source(path, detect_format(path, file.filename, reading), reading)


def _local(work: Work, file: File) -> Path:
    data_file = DataFile(
        file_id=file.id,
        name=file.filename,
        path=file.storage_key,
        format=file.format or "jsonl",  # found again from its bytes: its check may have refused it, or be under way
        sha256=file.sha256,
        bytes=file.bytes,
    )
    return local_copy(work.memory, work.folder / file.id, data_file, "file")
