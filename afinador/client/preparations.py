# Made by docs/generate.py from afinador/client/asynchronous/preparations.py; change that, then run `make docs`.
"""Preparations of data sets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from afinador.client import preparation_calls, results, uploads
from afinador.client.files import Files
from afinador.client.nouns import Listing, Noun
from afinador.client.waiting import pause
from afinador.errors import WaitTimeoutError
from afinador.schemas.dataset_formats import HUB_SCHEME
from afinador.schemas.datasets import DatasetReading

Steps = Sequence[Mapping[str, Any]] | Mapping[str, Any]
"""The steps in their order, each with its ``type``; see docs/preparation.md. Or an object that holds them under ``steps``."""


class Preparations(Noun):
    """Data sets that the service takes through declared steps."""

    def create(
        self,
        file: results.File | Path | str,
        steps: Steps,
        output: str | None = None,
        base_model: str | None = None,
        reading: DatasetReading | None = None,
    ) -> results.Preparation:
        """Ask for a data set to be prepared; the steps are checked at once, the work goes on afterwards.

        Args:
            file: An uploaded file, or its id or name; a ``pathlib.Path`` is a local file, uploaded if the service does not have it,
                and ``hf://owner/name[:config][@revision]`` a data set that the service fetches first.
            steps: What is to be done.
            output: Name of what is made; its extension says the format, and .gz or .zst behind that of a text compresses it.
                ``NAME-prepared`` if omitted.
            base_model: Whose tokens steps count and make.
            reading: How local data, or those of the Hugging Face Hub, are to be read, where their names and contents do
                not say it.

        Raises:
            InvalidRequestError: A step is unknown or has a bad value; names step, key, value and what is allowed. Or the
                data set cannot be fetched, or ``reading`` is given of an uploaded file.
            NotFoundError: There is no such file or base model.
        """
        uploads.require_use(reading, file)
        named = file if isinstance(file, results.File) else self._there(file, reading)
        call = preparation_calls.create_preparation(named, steps, output, base_model)
        return self._ask(call, results.Preparation)

    def _there(self, file: Path | str, reading: DatasetReading | None) -> str:
        if isinstance(file, str):
            is_of_hub = file.startswith(HUB_SCHEME)
            return uploads.fetch(self._connection, file, reading) if is_of_hub else file
        same = None if reading else uploads.find_same(self._connection, file)
        return str(same["id"]) if same else (Files(self._connection).create(file, reading=reading)).id

    def list(self) -> Listing[results.Preparation]:
        """List the preparations, newest first."""
        return Listing(self._connection, preparation_calls.list_preparations(), results.Preparation)

    def get(self, preparation: results.Preparation | str) -> results.Preparation:
        """Get a preparation as it is now."""
        return self._ask(preparation_calls.get_preparation(preparation), results.Preparation)

    def cancel(self, preparation: results.Preparation | str) -> results.Preparation:
        """Cancel a preparation that is queued or running; no file comes of it.

        Raises:
            IllegalTransitionError: It has succeeded or failed.
        """
        return self._ask(preparation_calls.cancel_preparation(preparation), results.Preparation)

    def wait(
        self,
        preparation: results.Preparation | str,
        timeout_seconds: float | None = None,
        poll_seconds: float = 0.5,
    ) -> results.Preparation:
        """Wait until a preparation has ended, well or not, and return it.

        Raises:
            WaitTimeoutError: It has not ended after ``timeout_seconds``; nothing happens to it.
        """
        started_at = time.monotonic()
        while not (found := self.get(preparation)).has_ended:
            if timeout_seconds is not None and time.monotonic() - started_at >= timeout_seconds:
                raise WaitTimeoutError.of(found.id, found.status, timeout_seconds)
            pause(poll_seconds)
        return found
