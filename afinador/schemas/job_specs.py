"""Saved job specs: requests that are kept under a name, for schedules, triggers and repetition."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from afinador.schemas.base import CreatedAt, Id, OrganizationId, Wire


class JobSpecRequest(Wire):
    """A job spec to be saved."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$", description="Unique in the organization; letters, digits, '._-'."
    )
    request: dict[str, Any] = Field(
        description="The body of `POST /fine_tuning/jobs`, without `name`. A file given by its name means its newest "
        "version each time; given by its id, that one version."
    )
    retrain_on_update: bool = Field(
        True, description="Whether a new version of a file that the request gives by name starts a job."
    )


class JobSpec(Wire):
    """A saved job spec.

    Attributes:
        name: Unique in the organization; may be given wherever its id may.
        request: As it was saved, with OpenAI's names (``model``, ``training_file``) whichever were given.
        retrain_on_update: Whether a new version of a file that the request gives by name starts a job.
    """

    id: Id
    object: Literal["fine_tuning.job_spec"] = "fine_tuning.job_spec"
    name: str
    organization_id: OrganizationId
    created_at: CreatedAt
    request: dict[str, Any]
    retrain_on_update: bool
