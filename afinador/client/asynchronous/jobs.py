"""Fine-tuning jobs, and what they leave behind while they run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack, overload

from afinador.client import calls, results
from afinador.client.answers import read_as
from afinador.client.asynchronous import downloads, following, uploads
from afinador.client.asynchronous.connection import AsyncConnection
from afinador.client.asynchronous.files import AsyncFiles
from afinador.client.asynchronous.nouns import AsyncListing, AsyncNoun
from afinador.client.job_fields import JobFields
from afinador.errors import AfinadorError, ServiceUnavailableError, WaitTimeoutError
from afinador.schemas.certificates import DEFAULT_STEPS
from afinador.schemas.jobs import JobStatus, StatusAlias
from afinador.schemas.models import HubFile


class AsyncJobs(AsyncNoun):
    """Fine-tuning jobs. Wherever a job is named, its id, its name and the job itself are the same."""

    def __init__(self, connection: AsyncConnection, files: AsyncFiles) -> None:
        super().__init__(connection)
        self._files = files

    async def create(self, **fields: Unpack[JobFields]) -> results.Job:
        """Create a job from the fields of its request: ``base_model``, ``dataset``, ``hyperparameters`` and so on.

        Data sets are ids or names of files; a ``pathlib.Path`` is a local file. It is uploaded once the service has
        nothing against the rest of the request, and only when the service does not have its bytes under its name; if
        the job is refused then, it is deleted again.
        """
        local = {name: value for name, value in fields.items() if isinstance(value, Path)}
        if local:
            await uploads.check_job(self._connection, fields, local)
        new: list[str] = []
        try:
            uploaded = {name: await self._there(path, new) for name, path in local.items()}
        except BaseException:  # also when it is interrupted: nothing was sent yet that needs these files
            await uploads.withdraw(self._connection, new)
            raise
        try:
            return await self._ask(calls.create_job({**fields, **uploaded}), results.Job)
        except ServiceUnavailableError:  # whether there is a job now, nobody knows
            raise
        except AfinadorError:
            await uploads.withdraw(self._connection, new)
            raise

    async def _there(self, path: Path, new: list[str]) -> str:
        """Return the id of a local file at the service; one that was uploaded for it is added to ``new``."""
        same = await uploads.find_same(self._connection, path)
        if same:
            return str(same["id"])
        made = await self._files.create(path)
        new.append(made.id)
        return made.id

    def list(
        self,
        status: JobStatus | StatusAlias | None = None,
        metadata: Mapping[str, str] | Literal["null"] | None = None,
    ) -> AsyncListing[results.Job]:
        """List the jobs, newest first; those in a status, with all pairs of ``metadata``, or with none (``"null"``)."""
        return AsyncListing(self._connection, calls.list_jobs(status, metadata), results.Job)

    async def get(self, job: results.Job | str) -> results.Job:
        """Get a job as it is now."""
        return await self._ask(calls.get_job(_named(job)), results.Job)

    async def cancel(self, job: results.Job | str) -> results.Job:
        """Ask a job to stop for good; ``IllegalTransitionError`` when it has ended otherwise."""
        return await self._ask(calls.cancel_job(_named(job)), results.Job)

    async def pause(self, job: results.Job | str) -> results.Job:
        """Ask a job to stop at a checkpoint; it is ``pausing``, then ``paused``, and its device is free.

        Raises:
            IllegalTransitionError: It has ended, or is being cancelled.
        """
        return await self._ask(calls.pause_job(_named(job)), results.Job)

    async def resume(self, job: results.Job | str) -> results.Job:
        """Let a paused job go on: it is queued. One that waits or runs is left as it is.

        Raises:
            IllegalTransitionError: It has ended, or is being cancelled.
        """
        return await self._ask(calls.resume_job(_named(job)), results.Job)

    async def verify_resume(self, job: results.Job | str, steps: int = DEFAULT_STEPS) -> results.Certificate:
        """Ask for a proof that a job's training goes on from a checkpoint to the bit; see ``certificates`` for what it says.

        Args:
            job: Any whose files were checked.
            steps: Optimizer steps, 2 to 10,000; of a job that has fewer, all of them.
        """
        return await self._ask(calls.verify_resume(_named(job), steps), results.Certificate)

    async def reproduce(self, job: results.Job | str) -> results.Certificate:
        """Ask for a job that has succeeded to be run again, and its weights to be compared with what it has published."""
        return await self._ask(calls.reproduce_job(_named(job)), results.Certificate)

    def certificates(self, job: results.Job | str) -> AsyncListing[results.Certificate]:
        """List the proofs that were asked for, newest first."""
        return AsyncListing(self._connection, calls.list_certificates(_named(job)), results.Certificate)

    async def wait(
        self, job: results.Job | str, timeout_seconds: float | None = None, poll_seconds: float = 1.0
    ) -> results.Job:
        """Wait until a job has ended, well or not, and return it. A service that restarts is waited for.

        Raises:
            WaitTimeoutError: It has not ended after ``timeout_seconds``; nothing happens to it. Also a ``TimeoutError``.
            ServiceUnavailableError: The service is gone.
        """
        state: dict[str, Any] = {}
        async for look in following.follow(
            self._connection, _named(job), poll_seconds=poll_seconds, timeout_seconds=timeout_seconds, with_events=False
        ):
            state = look.job
        if not following.has_ended(state):
            raise WaitTimeoutError.of(f"Job {_named(job)!r}", state["status"], timeout_seconds)
        return read_as(results.Job, state, self._connection.access.root_url)

    @overload
    def events(
        self, job: results.Job | str, *, follow: Literal[False] = False, after: results.Event | str | None = None
    ) -> AsyncListing[results.Event]: ...

    @overload
    def events(
        self, job: results.Job | str, *, follow: Literal[True], after: results.Event | str | None = None
    ) -> AsyncIterator[results.Event]: ...

    @overload
    def events(
        self, job: results.Job | str, *, follow: bool, after: results.Event | str | None = None
    ) -> AsyncListing[results.Event] | AsyncIterator[results.Event]: ...

    def events(
        self, job: results.Job | str, *, follow: bool = False, after: results.Event | str | None = None
    ) -> AsyncListing[results.Event] | AsyncIterator[results.Event]:
        """List what happened, newest first; with ``follow`` oldest first and then as it happens, until the job ends.

        Args:
            job: Its id, its name, or itself.
            follow: Stream them.
            after: An event or its id: begin behind it, which is with newer ones when they are streamed, else with older ones.
        """
        behind = None if after is None else calls.id_of(after)
        if follow:
            return self._followed_events(_named(job), behind)
        return AsyncListing(self._connection, calls.list_events(_named(job)), results.Event, behind)

    async def _followed_events(self, job: str, after: str | None) -> AsyncIterator[results.Event]:
        async for event in following.follow_events(self._connection, job, after):
            yield read_as(results.Event, event, self._connection.access.root_url)

    def checkpoints(self, job: results.Job | str) -> AsyncListing[results.Checkpoint]:
        """List the checkpoints, newest first."""
        return AsyncListing(self._connection, calls.list_checkpoints(_named(job)), results.Checkpoint)

    def checkpoint_files(self, job: results.Job | str, checkpoint: int | str) -> AsyncListing[HubFile]:
        """List the files of a checkpoint, named by its step or id, with sizes and hashes."""
        return AsyncListing(self._connection, calls.list_checkpoint_files(_named(job), str(checkpoint)), HubFile)

    async def checkpoint_content(self, job: results.Job | str, checkpoint: int | str, path: str) -> bytes:
        """Read one file of a checkpoint by its path."""
        return await downloads.content(self._connection, calls.checkpoint_file(_named(job), str(checkpoint), path))

    async def download_checkpoint(
        self,
        job: results.Job | str,
        checkpoint: int | str,
        folder: Path | str,
        on_progress: downloads.FileProgress | None = None,
    ) -> Sequence[Path]:
        """Fetch a checkpoint, named by its step or id, into a folder that loads as a model; each file is checked."""
        return await downloads.download_checkpoint(
            self._connection, _named(job), str(checkpoint), Path(folder), on_progress
        )

    async def publish_checkpoint(
        self, job: results.Job | str, checkpoint: int | str, output_model: str | None = None
    ) -> results.HubEntry:
        """Publish a checkpoint, named by its step or id, as the newest version of a hub name; that of its job by default.

        Asking again changes nothing. The job may be in any state.

        Raises:
            NotFoundError: The job has no such checkpoint any more; names those that it has.
            NameTakenError: It is in the hub under another name.
        """
        return await self._ask(calls.publish_checkpoint(_named(job), str(checkpoint), output_model), results.HubEntry)

    async def metrics(self, job: results.Job | str) -> Sequence[dict[str, Any]]:
        """Return the rows of the curves, oldest first: ``step``, ``train_loss``, ``valid_loss`` and others."""
        answer = await self._connection.json(calls.job_metrics(_named(job)), "data")
        rows: Sequence[dict[str, Any]] = answer["data"]
        return rows

    async def resources(self, job: results.Job | str) -> Sequence[dict[str, Any]]:
        """Get what a job has used, every five seconds: ``cpu_percent``, ``memory_bytes``, those of a GPU, ``timestamp_ms``."""
        answer = await self._connection.json(calls.job_resources(_named(job)), "data")
        rows: Sequence[dict[str, Any]] = answer["data"]
        return rows

    async def report(self, job: results.Job | str) -> str:
        """Get all that is known of a job, in whichever state, as one HTML page that stands alone."""
        return await self._connection.text(calls.job_report(_named(job)))

    async def logs(self, job: results.Job | str) -> str:
        """Return the log of the training process."""
        return await self._connection.text(calls.job_logs(_named(job)))

    def log_lines(self, job: results.Job | str) -> AsyncIterator[str]:
        """Yield the lines of the log, from the first one on and then as they are written, until the job has ended."""
        return following.follow_log(self._connection, _named(job))


def _named(job: results.Job | str) -> str:
    return job if isinstance(job, str) else job.id
