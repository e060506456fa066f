"""The base model that a job starts from."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from afinador.config.resolve import check_parameter_count
from afinador.config.spec import BaseModelReference
from afinador.errors import ModelError, NotFoundError, UnsupportedModelError
from registry import base_models
from registry.base_model_views import UNFINISHED
from registry.memory import Memory
from registry.tables import BaseModel, HubVersion


def find(session: Session, memory: Memory, organization_id: str, name: str) -> BaseModel:
    """Find a base model that can be tuned. A registered one wins over a result of the same name.

    Raises:
        NotFoundError: There is none of this name; names the nearest.
        UnsupportedModelError: The name is that of a job's result.
        ModelError: It is not ready, or too large.
    """
    try:
        base = base_models.find(session, memory, organization_id, name)
    except NotFoundError:
        _refuse_result(session, organization_id, name)
        raise
    if base.status in UNFINISHED:
        raise ModelError(
            f"The base model {base.name!r} is still being registered ({base.status}); try again when its status is 'ready'.",
            param="model",
            code="model_not_ready",
        )
    if base.status != "ready":
        raise ModelError(
            f"The base model {base.name!r} could not be registered: {base.status_details} Register it again.",
            param="model",
            code="model_not_ready",
        )
    check_parameter_count(base.name, base.parameters or 0)
    return base


def _refuse_result(session: Session, organization_id: str, name: str) -> None:
    mine = (HubVersion.organization_id == organization_id, or_(HubVersion.name == name, HubVersion.alias == name))
    own_result = session.scalars(select(HubVersion).where(*mine)).first()
    if own_result is not None or name.startswith("ft:"):
        remedy = f" Its base model is {own_result.base_model!r}." if own_result else ""
        raise UnsupportedModelError(
            f"{name!r} is the result of a job; tuning can start from registered base models only.{remedy}",
            param="model",
        )


def reference(base: BaseModel) -> BaseModelReference:
    """Return what a specification keeps of a base model."""
    return BaseModelReference(
        model_id=base.id,
        name=base.name,
        path=base.path,
        architecture=base.architecture,
        sha256=base.sha256,
        parameters=base.parameters,
        license=base.license,
        source=base.source if base.origin == "remote" else None,
    )
