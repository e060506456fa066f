"""What the SDK returns: the words on the wire, with times as datetimes (UTC)."""

# A datetime where the wire has Unix seconds is the whole point of these classes.
# mypy: disable-error-code="assignment"

from __future__ import annotations

from datetime import datetime

from afinador.schemas import (
    certificates,
    checkpoints,
    events,
    files,
    job_specs,
    jobs,
    models,
    organizations,
    preparations,
)


class File(files.File):
    """A file."""

    created_at: datetime
    expires_at: datetime | None = None


class Job(jobs.Job):
    """A fine-tuning job."""

    created_at: datetime
    finished_at: datetime | None = None
    estimated_finish: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in jobs.ENDED_STATUSES


class Event(events.Event):
    """Something that happened in a job."""

    created_at: datetime


class Certificate(certificates.Certificate):
    """A proof on a job, asked for or made."""

    created_at: datetime
    finished_at: datetime | None = None


class Preparation(preparations.Preparation):
    """A data set that is taken through steps."""

    created_at: datetime
    finished_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in preparations.ENDED


class Checkpoint(checkpoints.Checkpoint):
    """State of a job after an optimizer step."""

    created_at: datetime


class JobSpec(job_specs.JobSpec):
    """A saved request."""

    created_at: datetime


class Model(models.Model):
    """A base or fine-tuned model."""

    created: datetime
    created_at: datetime


class HubEntry(models.HubEntry):
    """The newest version of a published model or adapter."""

    created_at: datetime


class Organization(organizations.Organization):
    """Whoever owns files, jobs and models."""

    created_at: datetime


class ApiKey(organizations.ApiKey):
    """A key; ``key`` itself is there only when it was just made."""

    created_at: datetime
