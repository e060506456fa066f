"""How the service is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from afinador.schemas.base import Wire


class Health(Wire):
    """How the service is.

    Attributes:
        status: ``degraded`` while a part of it is away; what does not need that part goes on.
        version: Of the service.
        checks: By part (``database``, ``storage``, ``prefect``, ``mlflow``, ``workers``) its ``status`` and a ``message``; of
            ``workers`` also how many each pool has.
    """

    status: Literal["ok", "degraded"]
    version: str
    checks: dict[str, Any] = Field(default_factory=dict)
