"""Data sets, looked at before they are trained on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Unpack

from afinador.client import calls, results
from afinador.client.asynchronous import uploads
from afinador.client.asynchronous.connection import AsyncConnection
from afinador.client.asynchronous.files import AsyncFiles
from afinador.client.asynchronous.nouns import AsyncNoun
from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.dataset_reports import DatasetPreview, DatasetReport, Documents
from afinador.schemas.datasets import DatasetReading
from afinador.schemas.jobs import Task

Dataset = results.File | Path | str
"""An uploaded file, its id or name; a local file, which is sent for the while if its bytes are not there yet; or
``hf://owner/name[:config][@revision]``, which the service fetches and keeps."""


class AsyncDatasets(AsyncNoun):
    """What becomes of data in a training, told before there is one."""

    def __init__(self, connection: AsyncConnection, files: AsyncFiles) -> None:
        super().__init__(connection)
        self._files = files

    async def validate(
        self,
        dataset: Dataset,
        *,
        validation_dataset: Dataset | None = None,
        validation_reading: Mapping[str, Any] | None = None,
        base_model: str | None = None,
        task: Task | None = None,
        max_length: int | None = None,
        reading: DatasetReading | None = None,
        **documents: Unpack[Documents],
    ) -> DatasetReport:
        """Return all faults of a data set; ``valid`` tells whether it can be trained on.

        Args:
            dataset: What is learnt from.
            validation_dataset: What is held out.
            validation_reading: How that is read, where it is not as it was declared at its upload or, of local data, in
                ``reading``: ``{"split": "test"}``; None takes a field back. With ``split`` or ``config``, and no
                ``validation_dataset``, that part of ``dataset`` is held out.
            base_model: Whose tokenizer tells lengths, and what would be cut.
            task: The base model's own by default.
            max_length: Most tokens of one example; 2048 by default.
            reading: How local data are to be read, where their names and contents do not say it.
            **documents: How documents are asked for, as in a job: ``prompts``, ``extraction``, ``extraction_schema``.

        Raises:
            InvalidRequestError: ``reading`` is given, and both are uploaded files.
            NotFoundError: There is no such file or base model.
        """
        uploads.require_use(reading, dataset, validation_dataset)
        async with self._uploaded(dataset, reading) as file, self._uploaded(validation_dataset, reading) as held_out:
            call = calls.validate_dataset(
                file or "",
                validation_file=held_out,
                validation_reading=validation_reading,
                base_model=base_model,
                task=task,
                max_length=max_length,
                **documents,
            )
            return await self._ask(call, DatasetReport)

    async def preview(
        self,
        dataset: Dataset,
        base_model: str,
        *,
        records: int | None = None,
        task: Task | None = None,
        max_length: int | None = None,
        reading: DatasetReading | None = None,
        **documents: Unpack[Documents],
    ) -> DatasetPreview:
        """Return the first records token by token: trained, masked or cut.

        Args:
            dataset: As for ``validate``.
            base_model: Whose tokenizer is asked.
            records: How many, up to 100; 5 by default.
            task: The base model's own by default.
            max_length: Most tokens of one example; 2048 by default.
            reading: How local data are to be read, where their names and contents do not say it.
            **documents: How documents are asked for, as in a job: ``prompts``, ``extraction``, ``extraction_schema``.

        Raises:
            DataError: No record of it can be read.
            InvalidRequestError: ``reading`` is given of an uploaded file.
            NotFoundError: There is no such file or base model.
        """
        uploads.require_use(reading, dataset)
        async with self._uploaded(dataset, reading) as file:
            call = calls.preview_dataset(
                file or "", base_model=base_model, records=records, task=task, max_length=max_length, **documents
            )
            return await self._ask(call, DatasetPreview)

    @asynccontextmanager
    async def _uploaded(self, dataset: Dataset | None, reading: DatasetReading | None) -> AsyncIterator[str | None]:
        """Give the name of a file; one that has to be sent for it is deleted again."""
        if isinstance(dataset, str) and dataset.startswith(HUB_SCHEME):
            yield await uploads.fetch(self._connection, dataset, reading)
            return
        if not isinstance(dataset, Path):
            yield dataset.id if isinstance(dataset, results.File) else dataset
            return
        same = None if reading else await uploads.find_same(self._connection, dataset)
        if same is not None:
            yield same["id"]
            return
        sent = await self._files.create(dataset, reading=reading)
        try:
            yield sent.id
        finally:
            await uploads.withdraw(self._connection, [sent.id])
