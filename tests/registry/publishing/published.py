"""What storage, ledger and MLflow hold after a publication, and gateways to an MLflow that is away."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from afinador.errors import ServiceUnavailableError
from registry.ledger.tables import HubVersion, Organization
from registry.memory import Memory
from registry.tracking.experiments import Experiments


class Unreachable(Experiments):
    """MLflow whose database is away."""

    def connect(self) -> Any:
        raise ServiceUnavailableError("MLflow does not answer.")


class LostBeforeDeleting(Experiments):
    """MLflow that goes away between its greeting and its work."""

    def workspace(self, organization: str) -> Any:
        raise ServiceUnavailableError("MLflow does not answer.")


def registered(experiments: Experiments, organization: Organization) -> dict[str, list[str]]:
    """Return names and versions as MLflow has them."""
    with experiments.workspace(organization.name) as client:
        found: dict[str, list[str]] = {model.name: [] for model in client.search_registered_models()}
        for version in client.search_model_versions():
            found[version.name].append(str(version.version))
    return {name: sorted(versions) for name, versions in found.items()}


def stored_keys(memory: Memory, organization: Organization) -> list[str]:
    return [*memory.storage.list(f"{organization.id}/hub"), *memory.storage.list(f"{organization.id}/hub-deleted")]


def rows(memory: Memory) -> int:
    with memory.database.reading() as session:
        return session.scalars(select(func.count(HubVersion.id))).one()
