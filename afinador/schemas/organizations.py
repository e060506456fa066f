"""Organisations and their keys."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from afinador.schemas.base import Wire

RESERVED_NAMES = ("api", "ajax-api", "static-files", "workspaces")
"""Names that MLflow does not give to a workspace."""


class OrganizationRequest(Wire):
    """Makes an organisation; its name has the form that MLflow asks of a workspace."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$")

    @field_validator("name")
    @classmethod
    def _refuse_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"these names are reserved: {', '.join(RESERVED_NAMES)}")
        return name


class OrganizationUpdate(Wire):
    """Changes how an organisation shares the work pools; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    concurrency_limit: int | None = Field(
        None, ge=1, le=10_000, description="Jobs at once in each work pool; null for no limit."
    )
    priority: int = Field(0, ge=-1000, le=1000, description="Its jobs come before those of a lower one.")


class Organization(Wire):
    """Whoever owns files, jobs and models. Its name is also its MLflow workspace.

    Attributes:
        concurrency_limit: How many of its jobs run at once in each work pool; None without a limit.
        priority: Its jobs come before those of organisations with a lower one.
    """

    id: str
    object: Literal["organization"] = "organization"
    name: str
    created_at: int
    concurrency_limit: int | None = None
    priority: int = 0


class ApiKeyRequest(Wire):
    """Makes a key of an organisation."""

    model_config = ConfigDict(extra="forbid")

    organization: str
    name: str = Field("default", max_length=128)


class ApiKey(Wire):
    """A key; ``key`` itself is answered once, when it is made, and kept only as a hash."""

    id: str
    object: Literal["api_key"] = "api_key"
    organization_id: str
    name: str
    prefix: str
    created_at: int
    key: str | None = None
