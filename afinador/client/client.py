"""``Afinador``: the service's nouns as attributes, its verbs as methods, its answers as typed objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import httpx

from afinador.client import calls, following, paging, results, uploads
from afinador.client.access import Access
from afinador.client.calls import Call
from afinador.client.connection import Connection, Progress
from afinador.client.downloads import FileProgress, download_hub
from afinador.errors import ServiceUnavailableError
from afinador.schemas.base import Deleted, Wire

Item = TypeVar("Item", bound=Wire)


class Afinador:
    """A client of a running service.

    ::

        with Afinador() as client:
            job = client.jobs.create(base_model="tiny", dataset=Path("train.jsonl"), output_model="bot")
            job = client.jobs.wait(job.id)
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
        found = Access.from_environment()
        access = Access(
            base_url=base_url or found.base_url,
            api_key=api_key or found.api_key,
            operator_key=operator_key or found.operator_key,
        )
        self.connection = Connection(
            access, timeout_seconds=timeout_seconds, max_retries=max_retries, transport=transport
        )
        self.files = Files(self.connection)
        self.jobs = Jobs(self.connection, self.files)
        self.job_specs = JobSpecs(self.connection)
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

    def close(self) -> None:
        """Let go of the sockets."""
        self.connection.close()

    def health(self) -> dict[str, Any]:
        """Return ``status`` (``ok`` or ``degraded``), ``version`` and ``checks``, part by part."""
        return self.connection.json(calls.health())


class Listing(Generic[Item]):
    """All objects of a list, in the service's order, read page by page while they are gone through."""

    def __init__(self, connection: Connection, call: Call, kind: type[Item]) -> None:
        self._connection, self._call, self._kind = connection, call, kind

    def __iter__(self) -> Iterator[Item]:
        for item in paging.iterate(self._connection, self._call):
            yield self._kind.model_validate(item)

    def first(self, limit: int) -> list[Item]:
        """Return the first ``limit`` of them, or all if there are fewer."""
        return [self._kind.model_validate(item) for item in paging.first(self._connection, self._call, limit)[0]]


class _Noun:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _ask(self, call: Call, kind: type[Item]) -> Item:
        return kind.model_validate(self._connection.json(call))


class Files(_Noun):
    """Data sets, and what jobs write."""

    def create(self, path: Path | str, purpose: str = "fine-tune", on_progress: Progress | None = None) -> results.File:
        """Upload a local file; a name that is in use gets a new version. It is checked in the background."""
        return results.File.model_validate(self._connection.upload(Path(path), purpose, on_progress))

    def list(self, purpose: str | None = None) -> Listing[results.File]:
        """List the files."""
        return Listing(self._connection, calls.list_files(purpose), results.File)

    def get(self, file: str) -> results.File:
        """Get a file by id."""
        return self._ask(calls.get_file(file), results.File)

    def wait(self, file: str, timeout_seconds: float = 3600) -> results.File:
        """Wait until a file was checked: ``processed`` or ``error``, with the reason in ``status_details``."""
        checked = following.await_settled(
            self._connection, calls.get_file(file), "uploaded", timeout_seconds=timeout_seconds
        )
        return results.File.model_validate(checked)

    def content(self, file: str) -> bytes:
        """Read a file's bytes, whole."""
        return b"".join(self._connection.chunks(calls.file_content(file)))

    def delete(self, file: str) -> Deleted:
        """Delete a file by id; ``InUseError`` while an open job needs it."""
        return self._ask(calls.delete_file(file), Deleted)


class Jobs(_Noun):
    """Fine-tuning jobs."""

    def __init__(self, connection: Connection, files: Files) -> None:
        super().__init__(connection)
        self._files = files

    def create(self, **fields: Any) -> results.Job:
        """Create a job from the fields of its request: ``base_model``, ``dataset``, ``hyperparameters`` and so on.

        Data sets are ids or names of files; a ``pathlib.Path`` is a local file. It is uploaded once the service has
        nothing against the rest of the request, and only when the service does not have its bytes under its name.
        """
        local = {name: value for name, value in fields.items() if isinstance(value, Path)}
        if local:
            uploads.check_job(self._connection, fields, local)
        uploaded = {name: self._there(path) for name, path in local.items()}
        return self._ask(calls.create_job({**fields, **uploaded}), results.Job)

    def _there(self, path: Path) -> str:
        """Return the id of a local file at the service."""
        same = uploads.find_same(self._connection, path)
        return str(same["id"]) if same else self._files.create(path).id

    def list(self, status: str | None = None, metadata: Mapping[str, str] | None = None) -> Listing[results.Job]:
        """List the jobs, newest first."""
        return Listing(self._connection, calls.list_jobs(status, metadata), results.Job)

    def get(self, job: str) -> results.Job:
        """Get a job by id or name."""
        return self._ask(calls.get_job(job), results.Job)

    def cancel(self, job: str) -> results.Job:
        """Ask a job to stop for good; ``IllegalTransitionError`` when it has ended otherwise."""
        return self._ask(calls.cancel_job(job), results.Job)

    def events(self, job: str) -> Listing[results.Event]:
        """List what happened, newest first."""
        return Listing(self._connection, calls.list_events(job), results.Event)

    def checkpoints(self, job: str) -> Listing[results.Checkpoint]:
        """List the checkpoints, newest first."""
        return Listing(self._connection, calls.list_checkpoints(job), results.Checkpoint)

    def metrics(self, job: str) -> Sequence[dict[str, Any]]:
        """Return the rows of the curves, oldest first: ``step``, ``train_loss``, ``valid_loss`` and others."""
        return list(self._connection.json(calls.job_metrics(job))["data"])

    def logs(self, job: str) -> str:
        """Return the log of the training process."""
        return self._connection.text(calls.job_logs(job))

    def wait(self, job: str, timeout_seconds: float | None = None, poll_seconds: float = 1.0) -> results.Job:
        """Wait until a job has ended, well or not, and return it.

        Raises:
            ServiceUnavailableError: It has not ended after ``timeout_seconds``, or the service is gone.
        """
        looks = following.follow(
            self._connection, job, poll_seconds=poll_seconds, timeout_seconds=timeout_seconds, with_events=False
        )
        state: dict[str, Any] = {}
        for look in looks:
            state = look.job
        if not following.has_ended(state):
            raise ServiceUnavailableError(
                f"Job {job!r} has not ended after {timeout_seconds} s; it is {state['status']!r} and goes on.",
                code="timeout",
            )
        return results.Job.model_validate(state)

    def stream_events(self, job: str, poll_seconds: float = 1.0) -> Iterator[results.Event]:
        """Yield what happened and what happens in a job, oldest first, until it has ended."""
        for look in following.follow(self._connection, job, poll_seconds=poll_seconds):
            for event in look.events:
                yield results.Event.model_validate(event)


class JobSpecs(_Noun):
    """Saved requests of jobs, for schedules, triggers and repetition."""

    def create(self, name: str, request: Mapping[str, Any], retrain_on_update: bool = True) -> results.JobSpec:
        """Save the request of a job; a file that it gives by name means the newest version each time.

        ``retrain_on_update``: whether a new version of such a file starts a job.
        """
        return self._ask(calls.create_job_spec(name, request, retrain_on_update), results.JobSpec)

    def list(self) -> Listing[results.JobSpec]:
        """List the saved specs, newest first."""
        return Listing(self._connection, calls.list_job_specs(), results.JobSpec)

    def get(self, job_spec: str) -> results.JobSpec:
        """Get a saved spec by name or id."""
        return self._ask(calls.get_job_spec(job_spec), results.JobSpec)

    def delete(self, job_spec: str) -> Deleted:
        """Delete a saved spec; its jobs stay."""
        return self._ask(calls.delete_job_spec(job_spec), Deleted)


class Models(_Noun):
    """Base models, and fine-tuned ones as OpenAI lists them."""

    def create(self, name: str, source: str, visibility: str = "private") -> results.Model:
        """Register a base model: a folder of the service's machine or ``hf://owner/name``. See ``wait``."""
        return self._ask(calls.create_model(name, source, visibility), results.Model)

    def wait(self, model: str, timeout_seconds: float = 3600) -> results.Model:
        """Wait until a model's files are there: ``ready`` or ``error``, with the reason in ``status_details``."""
        settled = following.await_settled(
            self._connection, calls.get_model(model), "registering", timeout_seconds=timeout_seconds
        )
        return results.Model.model_validate(settled)

    def list(self) -> Listing[results.Model]:
        """List the models."""
        return Listing(self._connection, calls.list_models(), results.Model)

    def get(self, model: str) -> results.Model:
        """Get a model by id or name."""
        return self._ask(calls.get_model(model), results.Model)

    def delete(self, model: str) -> Deleted:
        """Delete a model; ``InUseError`` while jobs or adapters need it."""
        return self._ask(calls.delete_model(model), Deleted)


class Hub(_Noun):
    """What the organisation's jobs made."""

    def models(self) -> Listing[results.HubEntry]:
        """List the models."""
        return Listing(self._connection, calls.list_hub("model"), results.HubEntry)

    def adapters(self) -> Listing[results.HubEntry]:
        """List the adapters."""
        return Listing(self._connection, calls.list_hub("adapter"), results.HubEntry)

    def get(self, name: str) -> results.HubEntry:
        """Get a model or adapter by name, or one version by its alias ``ft:…``."""
        return self._ask(calls.get_hub("model", name), results.HubEntry)

    def download(self, name: str, folder: Path | str, on_progress: FileProgress | None = None) -> list[Path]:
        """Fetch all files into a folder, each checked against its SHA-256; what lies there already is kept."""
        return download_hub(self._connection, "model", name, Path(folder), on_progress)

    def delete(self, name: str) -> Deleted:
        """Delete a name with all its versions, or the one version that an alias names."""
        return self._ask(calls.delete_hub("model", name), Deleted)


class Organizations(_Noun):
    """Organisations; the operator's to make."""

    def create(self, name: str) -> results.Organization:
        """Make an organisation."""
        return self._ask(calls.create_organization(name), results.Organization)

    def list(self) -> Listing[results.Organization]:
        """List the organisations."""
        return Listing(self._connection, calls.list_organizations(), results.Organization)


class ApiKeys(_Noun):
    """Keys of organisations; the operator's to make."""

    def create(self, organization: str, name: str = "default") -> results.ApiKey:
        """Make a key; its ``key`` is told this once."""
        return self._ask(calls.create_api_key(organization, name), results.ApiKey)

    def list(self, organization: str | None = None) -> Listing[results.ApiKey]:
        """List keys, without the keys themselves."""
        return Listing(self._connection, calls.list_api_keys(organization), results.ApiKey)

    def delete(self, key: str) -> Deleted:
        """Revoke a key by id."""
        return self._ask(calls.delete_api_key(key), Deleted)
