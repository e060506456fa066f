# Made by docs/generate.py from afinador/client/asynchronous/client.py; change that, then run `make docs`.
"""The service's nouns as attributes, its verbs as methods, its answers as typed objects."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import httpx

from afinador.client import calls, results
from afinador.client.access import Access
from afinador.client.answers import read_as
from afinador.client.connection import Connection
from afinador.client.datasets import Datasets
from afinador.client.files import Files
from afinador.client.hub import Hub, Models
from afinador.client.job_specs import JobSpecs
from afinador.client.jobs import Jobs
from afinador.client.organizations import ApiKeys, Organizations
from afinador.client.preparations import Preparations, Steps
from afinador.errors import DataError
from afinador.schemas.health import Health


class Afinador:
    """A client of a running service.

    ::

        with Afinador() as client:
            job = client.jobs.create(base_model="tiny", dataset=Path("train.jsonl"), output_model="bot")
            job = client.jobs.wait(job)
            client.hub.download("bot", Path("bot"))

    Every method raises the errors of ``afinador.errors``, of the class that the service raised;
    ``ServiceUnavailableError`` also when nobody answers.

    Args:
        base_url: Where the service is; ``AFINADOR_BASE_URL`` if omitted.
        api_key: Key of an organisation; ``AFINADOR_API_KEY`` if omitted.
        operator_key: For organisations, their keys and public models; ``AFINADOR_OPERATOR_KEY`` if omitted.
        timeout_seconds: For an answer to begin, and between its parts.
        max_retries: Further tries of what can be tried again without harm.
        transport: Of httpx, instead of the network.

    Raises:
        InvalidRequestError: The address is none, or one of the first three is an empty text.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        operator_key: str | None = None,
        *,
        timeout_seconds: float = 60,
        max_retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.connection = Connection(
            Access.given(base_url, api_key, operator_key),
            timeout_seconds=timeout_seconds,
            max_retries=max_retries,
            transport=transport,
        )
        self.files = Files(self.connection)
        self.datasets = Datasets(self.connection, self.files)
        self.jobs = Jobs(self.connection, self.files)
        self.job_specs = JobSpecs(self.connection)
        self.preparations = Preparations(self.connection)
        self.models = Models(self.connection)
        self.hub = Hub(self.connection)
        self.organizations = Organizations(self.connection)
        self.api_keys = ApiKeys(self.connection)

    def __enter__(self) -> Afinador:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def prepare_dataset(
        self,
        file: results.File | Path | str,
        steps: Steps,
        output: str | None = None,
        *,
        base_model: str | None = None,
        timeout_seconds: float | None = None,
    ) -> results.Preparation:
        """Have a data set prepared by the service, and wait for it: ``preparations.create`` and ``wait`` in one.

        Raises:
            DataError: It cannot be prepared; says why.
            InvalidRequestError: A step is unknown or has a bad value.
            NotFoundError: There is no such file.
            WaitTimeoutError: It has not ended after ``timeout_seconds``; nothing happens to it.
        """
        asked = self.preparations.create(file, steps, output, base_model)
        made = self.preparations.wait(asked, timeout_seconds)
        if made.status != "succeeded":
            error = made.error or {}
            said = error.get("message") or f"The preparation {made.id} was {made.status}."
            raise DataError(said, problems=error.get("problems", ()))
        return made

    def close(self) -> None:
        """Let go of the sockets."""
        self.connection.close()

    def health(self) -> Health:
        """Return how the service is, part by part."""
        return read_as(Health, self.connection.json(calls.health()), f"{self.connection.access.root_url}/v1/health")
