"""Is the service well?"""

from __future__ import annotations

from fastapi import APIRouter, Response

from afinador import __version__
from afinador.schemas.health import Health
from api.service import TheService

router = APIRouter(prefix="/health", tags=["health"])


@router.get("", summary="Check the service's health")
def health(service: TheService, response: Response) -> Health:
    """Tell how each part does; asked every few seconds in the background, so the answer is instant. Needs no key.

    503 only when database or storage are away: everything else can wait.
    """
    usable, report = service.health.report()
    response.status_code = 200 if usable else 503
    return Health(status=report["status"], version=__version__, checks=report["checks"])
