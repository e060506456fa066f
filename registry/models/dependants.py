"""What still needs a model that is to be deleted."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from afinador.errors import InUseError
from afinador.schemas.jobs import OPEN_STATUSES
from registry.ledger.tables import HubVersion, Job

_NAMES_IN_MESSAGE = 5


def of_base_models(session: Session, model_ids: Iterable[str]) -> list[str]:
    """Return, in words, the jobs that have not ended and the adapters which need one of these base models."""
    ids = list(model_ids)
    jobs = select(Job.name).where(Job.base_model_id.in_(ids), Job.status.in_(OPEN_STATUSES)).order_by(Job.name)
    adapters = select(HubVersion.name).where(HubVersion.base_model_id.in_(ids), HubVersion.kind == "adapter")
    named = [f"the job {name}" for name in session.scalars(jobs)]
    return named + [f"the adapter {name}" for name in session.scalars(adapters.distinct().order_by(HubVersion.name))]


def of_versions(session: Session, rows: list[HubVersion]) -> list[str]:
    """Return, in words, what needs one of these published versions as its base model or begins with its weights."""
    begins_at = Job.spec[("start_from", "path")].as_string()
    mine = (Job.organization_id == rows[0].organization_id, Job.status.in_(OPEN_STATUSES))
    starting = select(Job.name).where(*mine, begins_at.in_([row.storage_prefix for row in rows])).order_by(Job.name)
    return of_base_models(session, [row.id for row in rows]) + [f"the job {name}" for name in session.scalars(starting)]


def require_none(named: list[str], name: str) -> None:
    """Refuse to delete what is needed.

    Raises:
        InUseError: Something needs it; names some.
    """
    if named:
        more = f" and {len(named) - _NAMES_IN_MESSAGE} more" if len(named) > _NAMES_IN_MESSAGE else ""
        raise InUseError(
            f"{name!r} is needed by {', '.join(named[:_NAMES_IN_MESSAGE])}{more}. Cancel or delete those first.",
            param="model",
        )
