"""``ModelFineTuner``: data sets, jobs and models of this machine, under the names of one class."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from afinador.config.resolve import slug
from afinador.data.files.detection import detect_format
from afinador.data.files.loaders import records_of_loader
from afinador.data.files.saved_datasets import read_saved_dataset
from afinador.data.files.writers import EXTENSIONS
from afinador.data.preparation import Pipeline, Source, prepared_name, require_free, run_to_file, targets_of
from afinador.data.preparation.lineage import hash_of, made_before, write_lineage
from afinador.data.preparation.targets import lineage_beside
from afinador.data.quoting import described, shortened
from afinador.data.records import Format, Problem, Record
from afinador.data.tokens.process import TokenProcess
from afinador.errors import AfinadorError, DataError, IllegalTransitionError, InvalidRequestError, WaitTimeoutError
from afinador.fine_tuning.base_models import LocalModels
from afinador.fine_tuning.configuration import DatasetFormat, FineTuningConfig, FineTuningMethod, chosen, path_of
from afinador.fine_tuning.jobs import FineTuningJob, LocalJobs
from afinador.models.preparation_tokens import means_of_base_model
from afinador.models.tokenizer_folders import tokenizer_folder
from afinador.settings import Settings, read_settings
from afinador.training.job_file import spec_from_fields
from afinador.training.run_dir import RunDir

Loader = Callable[[Path], Iterable[Mapping[str, Any]]]
"""Yields the records of a data set of your own format."""

_WRITTEN: dict[DatasetFormat, Format] = {
    DatasetFormat.JSONL: "jsonl",
    DatasetFormat.CSV: "csv",
    DatasetFormat.JSON: "json",
    DatasetFormat.TEXT: "text",
}
"""Formats that are files of this library's own reading and writing."""

_LONGEST_BASE_NAME = 48
"""In the id of what was made of a model, which may be a base model in its turn."""

_NAMED_HERE = {"dataset": "dataset_path", "validation_dataset": "validation_dataset_path"}
"""What ``FineTuningConfig`` calls the fields of a job."""


def get_model_fine_tuner() -> ModelFineTuner:
    """Return the fine-tuner of this machine, as the environment describes it.

    Raises:
        ConfigurationError: A variable has a value that it cannot have.
    """
    return ModelFineTuner(read_settings())


class ModelFineTuner:
    """Prepares data sets, runs jobs in the background and registers what they made.

    Args:
        settings: ``home`` keeps what is known of jobs and models, ``model_roots`` are where models have names.
    """

    def __init__(self, settings: Settings) -> None:
        home = settings.home / "fine_tuning"
        self._jobs = LocalJobs(home / "jobs")
        self._models = LocalModels(settings, home / "models")

    async def prepare_dataset(
        self,
        dataset_path: str | Path,
        dataset_format: DatasetFormat | str,
        output_format: DatasetFormat | str = DatasetFormat.JSONL,
        preprocessing_steps: Sequence[Mapping[str, Any]] = (),
        *,
        output_path: str | Path | None = None,
        loader: Loader | None = None,
        base_model: str | None = None,
        overwrite: bool = False,
    ) -> str:
        """Take a data set through steps, write it in another format, and return where; its lineage is written beside it.

        Where the same steps have made the same data set into what is there, nothing is done, unless it took a loader or a
        base model. One that a step splits becomes several files beside each other, ``NAME-train`` and so on; the first is returned.

        Args:
            dataset_path: A file; for ``HUGGINGFACE`` the folder that ``datasets.save_to_disk`` wrote.
            dataset_format: How it is written.
            output_format: How to write it: JSONL, JSON, CSV or TEXT.
            preprocessing_steps: See ``afinador.data.preparation``.
            output_path: ``NAME-prepared.EXTENSION`` beside the data set if omitted; compressed if its name ends with .gz or .zst.
            loader: Reads a ``CUSTOM`` data set.
            base_model: Whose tokens steps count and make.
            overwrite: Replace files that are there; the data set itself is never replaced.

        Raises:
            InvalidRequestError: A format or a step is unknown, or does not fit, or there is something else where a
                file would be written.
            DataError: The data set cannot be read, a record does not fit, or none is left.
            StorageError: The file cannot be written.
        """
        source = path_of(dataset_path, "dataset_path")
        written = _WRITTEN.get(chosen(DatasetFormat, output_format, "output_format"))
        if written is None:
            raise InvalidRequestError(
                f"output_format is {output_format!s}, which is not written; choose {', '.join(_WRITTEN)}.",
                param="output_format",
            )
        target = source.with_name(prepared_name(source.name, written))
        target = path_of(output_path, "output_path") if output_path else target
        kind = chosen(DatasetFormat, dataset_format, "dataset_format")

        formats = {"dataset_format": kind.value, "output_format": written}
        # What a loader or a tokenizer does may be another thing next time, and no lineage would tell.
        is_repeatable = loader is None and base_model is None
        folder = tokenizer_folder(self._models.folder_of(base_model)) if base_model else None

        def work() -> Path:
            with TokenProcess() as process:
                pipeline = Pipeline(preprocessing_steps, means_of_base_model(folder, process) if folder else None)
                lineage = lineage_beside(target)
                if is_repeatable and not overwrite:
                    made = made_before(source, preprocessing_steps, formats, target, pipeline.parts)
                    if made:
                        return made[0]
                require_free([*targets_of(target, pipeline.parts), lineage], source, overwrite=overwrite)
                prepared = run_to_file(_read(source, kind, loader), source.name, pipeline, target, written)
            write_lineage(prepared, hash_of(source), preprocessing_steps, lineage, formats if is_repeatable else None)
            return prepared.files[0].path

        return str(await asyncio.to_thread(work))

    async def create_fine_tuning_job(self, config: FineTuningConfig) -> str:
        """Check everything that a job needs, start it in the background, and return its id.

        Raises:
            NotFoundError: There is no such model or data set.
            InvalidRequestError: A hyperparameter is unknown or out of range, or the method is not offered.
            DataError: The data set cannot be trained on; all problems are named.
            ModelError: The model cannot be trained, or is too large.
        """
        return await asyncio.to_thread(self._create, config)

    def _create(self, config: FineTuningConfig) -> str:
        dataset_format = _WRITTEN.get(chosen(DatasetFormat, config.dataset_format, "dataset_format"))
        if dataset_format is None:
            raise InvalidRequestError(
                f"A data set of the format {config.dataset_format!s} is not trained on as it is; "
                "prepare it first, with prepare_dataset.",
                param="dataset_format",
            )
        path_of(config.dataset_path, "dataset_path")
        output_dir = path_of(config.output_dir, "output_dir")
        job_id = f"ftjob-{secrets.token_hex(6)}"
        model, name = self._models.folder_of(config.model_id), self._models.name_of(config.model_id)
        fields = {
            "name": job_id,
            "base_model": str(model),
            "dataset": str(config.dataset_path),
            "validation_dataset": None if not config.validation_dataset_path else str(config.validation_dataset_path),
            "tuning_method": chosen(FineTuningMethod, config.method, "method").value,
            "hyperparameters": config.given_hyperparameters(),
            "seed": config.seed,
            "task": config.task,
            "output_model": f"{slug(name)[:_LONGEST_BASE_NAME]}-{job_id.removeprefix('ftjob-')}",
        }
        with _naming_fields():
            spec = spec_from_fields(fields, Path.cwd(), job_id, base_name=name)
        if spec.training_file.format != dataset_format:
            raise InvalidRequestError(
                f"dataset_format is {dataset_format}, but {config.dataset_path} is {spec.training_file.format}.",
                param="dataset_format",
            )
        self._jobs.start(job_id, spec, output_dir.absolute() / job_id)
        return job_id

    async def get_fine_tuning_job(self, job_id: str) -> FineTuningJob:
        """Look at a job, also at one that another program has started.

        Raises:
            NotFoundError: No such job was started on this machine.
        """
        return await asyncio.to_thread(self._jobs.get, job_id)

    async def list_fine_tuning_jobs(self) -> list[FineTuningJob]:
        """Return all jobs of this machine, newest first."""
        found = [await self.get_fine_tuning_job(job_id) for job_id in self._jobs.ids()]
        return sorted(found, key=lambda job: job.created_at, reverse=True)

    async def wait_for_fine_tuning_job(
        self, job_id: str, timeout_seconds: float | None = None, poll_seconds: float = 0.5
    ) -> FineTuningJob:
        """Wait until a job has ended, well or not, and return it.

        Raises:
            NotFoundError: No such job was started on this machine.
            WaitTimeoutError: It has not ended after ``timeout_seconds``; nothing happens to it.
        """
        started_at = time.monotonic()
        while not (job := await self.get_fine_tuning_job(job_id)).has_ended:
            if timeout_seconds is not None and time.monotonic() - started_at >= timeout_seconds:
                raise WaitTimeoutError.of(f"Job {job_id!r}", job.status, timeout_seconds)
            await asyncio.sleep(poll_seconds)
        return job

    async def cancel_fine_tuning_job(self, job_id: str) -> None:
        """Ask a job to stop after its current step; one that has ended stays as it is."""
        await asyncio.to_thread(self._jobs.cancel, job_id)

    async def register_fine_tuned_model(self, job_id: str) -> str:
        """Register what a job made, and return the model's id; a second time returns the same.

        A whole model can be the ``model_id`` of further jobs.

        Raises:
            NotFoundError: No such job was started on this machine.
            IllegalTransitionError: The job is not completed.
        """
        return await asyncio.to_thread(self._register, job_id)

    def _register(self, job_id: str) -> str:
        job = self._jobs.get(job_id)
        if job.status != "completed":
            raise IllegalTransitionError(
                f"The job {job_id!r} is {job.status}; only what a completed job made is registered."
                + (f" {job.error}" if job.error else ""),
                param="job_id",
            )
        spec = RunDir(job.run_dir).spec()
        self._models.register(
            spec.output.name,
            {
                "kind": spec.output.kind,
                "job_id": job_id,
                "base_model": spec.base_model.name,
                "method": spec.tuning_method,
                "dataset": spec.training_file.model_dump(mode="json"),
                "parameters": spec.hyperparameters.model_dump(mode="json", exclude_none=True),
                "metrics": job.metrics,
                "path": str(job.model_path),
                "created_at": time.time(),
            },
        )
        return spec.output.name

    async def get_registered_model(self, model_id: str) -> dict[str, Any]:
        """Return what is known of a registered model: its ``path``, how it was made, its figures.

        Raises:
            NotFoundError: There is none of this id.
        """
        return await asyncio.to_thread(self._models.get, model_id)


@contextmanager
def _naming_fields() -> Iterator[None]:
    """Let errors name the field that was given, not the one it became."""
    try:
        yield
    except AfinadorError as error:
        if error.param in _NAMED_HERE:
            given = _NAMED_HERE[error.param]
            if error.message.startswith(f"{error.param} is "):
                error.message = given + error.message.removeprefix(error.param)
                error.args = (error.message,)
            error.param = given
        raise


def _read(source: Path, kind: DatasetFormat, loader: Loader | None) -> Iterable[Record | Problem]:
    if kind is DatasetFormat.HUGGINGFACE:
        return read_saved_dataset(source)
    if kind is DatasetFormat.CUSTOM:
        if loader is None:
            raise InvalidRequestError(
                "A CUSTOM data set needs a loader: loader=FUNCTION, which is given the path and yields dictionaries.",
                param="loader",
            )
        return _loaded(loader, source)
    format = _WRITTEN[kind]
    found = detect_format(source, f"{source.stem}{EXTENSIONS[format]}")  # refuses what is missing, empty or binary
    return Source(source, found)


def _loaded(loader: Loader, source: Path) -> Iterator[Record | Problem]:
    if not callable(loader):
        raise InvalidRequestError(f"loader is {described(loader)}, but must be a function of a path.", param="loader")
    name = getattr(loader, "__name__", type(loader).__name__)
    number = 0
    try:
        for found in records_of_loader(loader, source, name):
            yield found
            number += 1
    except AfinadorError:
        raise
    except Exception as error:
        said = f"The loader {name} failed after record {number}: {type(error).__name__}: {shortened(str(error), 200)}."
        raise DataError(f"{said} Correct the loader, or the data.", param="loader") from error
