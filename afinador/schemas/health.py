"""How the service is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from afinador.schemas.base import Wire


class Health(Wire):
    """How the service is; ``checks`` says it for each part."""

    status: Literal["ok", "degraded"]
    version: str
    checks: dict[str, Any] = Field(default_factory=dict)
