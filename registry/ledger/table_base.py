"""What all tables of the ledger share. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from registry.ledger.ids import new_id


def random_id(prefix: str) -> Callable[[], str]:
    """Return what makes a new id with this prefix, the default of an id's column."""
    return lambda: new_id(prefix)


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        str: String(255),
        float: Float(53),
        dict[str, Any]: JSON(none_as_null=True),
        dict[str, str]: JSON(none_as_null=True),
        dict[str, int]: JSON(none_as_null=True),
        dict[str, float]: JSON(none_as_null=True),
        list[float]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
    }


class Owned:
    """A row that belongs to one organisation."""

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)


class OfJob(Owned):
    """A row that belongs to one job."""

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
