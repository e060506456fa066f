"""Saved requests of jobs."""

from __future__ import annotations

from afinador.client import calls, results
from afinador.client.asynchronous.nouns import AsyncListing, AsyncNoun
from afinador.client.job_fields import SavedJobFields
from afinador.schemas.base import Deleted


class AsyncJobSpecs(AsyncNoun):
    """Saved requests of jobs, for schedules, triggers and repetition."""

    async def create(self, name: str, request: SavedJobFields, retrain_on_update: bool = True) -> results.JobSpec:
        """Save the request of a job; a file that it gives by name means the newest version each time.

        ``retrain_on_update``: whether a new version of such a file starts a job.
        """
        return await self._ask(calls.create_job_spec(name, request, retrain_on_update), results.JobSpec)

    def list(self) -> AsyncListing[results.JobSpec]:
        """List the saved specs, newest first."""
        return AsyncListing(self._connection, calls.list_job_specs(), results.JobSpec)

    async def get(self, job_spec: results.JobSpec | str) -> results.JobSpec:
        """Get a saved spec by name or id."""
        return await self._ask(calls.get_job_spec(job_spec), results.JobSpec)

    async def delete(self, job_spec: results.JobSpec | str) -> Deleted:
        """Delete a saved spec; its jobs stay."""
        return await self._ask(calls.delete_job_spec(job_spec), Deleted)
