# Made by docs/generate.py from afinador/client/asynchronous/job_specs.py; change that, then run `make docs`.
"""Saved requests of jobs."""

from __future__ import annotations

from afinador.client import calls, results
from afinador.client.job_fields import SavedJobFields
from afinador.client.nouns import Listing, Noun
from afinador.schemas.base import Deleted


class JobSpecs(Noun):
    """Saved requests of jobs, for schedules, triggers and repetition."""

    def create(self, name: str, request: SavedJobFields, retrain_on_update: bool = True) -> results.JobSpec:
        """Save the request of a job; a file that it gives by name means the newest version each time.

        ``retrain_on_update``: whether a new version of such a file starts a job.
        """
        return self._ask(calls.create_job_spec(name, request, retrain_on_update), results.JobSpec)

    def list(self) -> Listing[results.JobSpec]:
        """List the saved specs, newest first."""
        return Listing(self._connection, calls.list_job_specs(), results.JobSpec)

    def get(self, job_spec: results.JobSpec | str) -> results.JobSpec:
        """Get a saved spec by name or id."""
        return self._ask(calls.get_job_spec(job_spec), results.JobSpec)

    def delete(self, job_spec: results.JobSpec | str) -> Deleted:
        """Delete a saved spec; its jobs stay."""
        return self._ask(calls.delete_job_spec(job_spec), Deleted)
