"""Organisations and their keys."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from afinador.schemas.base import CreatedAt, Id, OrganizationId, Wire

RESERVED_NAMES = ("api", "ajax-api", "static-files", "workspaces")
"""Names that MLflow does not give to a workspace."""


class OrganizationRequest(Wire):
    """Makes an organisation; its name has the form that MLflow asks of a workspace."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$",
        description="Unique; 2 to 63 lower-case letters, digits and dashes, no dash at either end.",
    )

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
        name: Unique; may be given wherever its id may.
        concurrency_limit: How many of its jobs run at once in each work pool; None without a limit.
        priority: Its jobs come before those of organisations with a lower one.
    """

    id: Id
    object: Literal["organization"] = "organization"
    name: str
    created_at: CreatedAt
    concurrency_limit: int | None = None
    priority: int = 0


class ApiKeyRequest(Wire):
    """Makes a key of an organisation."""

    model_config = ConfigDict(extra="forbid")

    organization: str = Field(description="Id or name of whose key it will be.")
    name: str = Field("default", max_length=128, description="What the key is for; need not be unique.")


class ApiKey(Wire):
    """A key, of which the service keeps a hash.

    Attributes:
        name: What the key is for.
        prefix: The beginning of the key, by which people know it again.
        key: The key itself; in the answer that made it, and null ever after.
    """

    id: Id
    object: Literal["api_key"] = "api_key"
    organization_id: OrganizationId
    name: str
    prefix: str
    created_at: CreatedAt
    key: str | None = None
