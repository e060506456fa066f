"""Whether what a job made becomes the champion of its name: the job's condition ``promote_if``, held against figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from afinador.config.promotion import Condition
from afinador.config.spec import FineTuningSpec
from registry.ledger.tables import HubVersion
from registry.memory import Memory
from registry.tracking import mlflow_models
from registry.tracking.experiments import Experiments


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Attributes:
        is_champion: Whether the new version may take the alias.
        message: The decision and its numbers, for people.
        data: The same for programs.
    """

    is_champion: bool
    message: str
    data: dict[str, Any]


def decide(memory: Memory, experiments: Experiments, spec: FineTuningSpec, metrics: dict[str, Any]) -> Decision | None:
    """Hold the job's condition against its figures, those of its base, and those of the present champion.

    Args:
        memory: The ledger knows the figures of the champion.
        experiments: MLflow knows which version that is.
        spec: Of the job.
        metrics: Base against tuned, each measured on this job's validation file.

    Returns:
        The decision; None for a job without a condition, whose version becomes the champion.

    Raises:
        ServiceUnavailableError: MLflow does not answer.
    """
    if spec.hyperparameters.promote_if is None:
        return None
    condition = Condition.parse(spec.hyperparameters.promote_if)
    champion = mlflow_models.champion_tags(experiments, spec.organization, spec.output.name)
    if champion is not None and champion["alias"] == spec.output.alias:
        champion = None  # an earlier attempt to publish got so far: it had won
    figures = None if champion is None else _figures(memory, spec, champion["alias"])
    holds, value, standard = condition.decide(metrics, figures)
    data = {
        "promote_if": spec.hyperparameters.promote_if,
        "metric": condition.metric,
        "value": value,
        "standard": standard,
        "champion_job": champion and champion["job"],
        "promoted": holds,
    }
    return Decision(holds, _sentence(spec.output.name, condition, holds, value, standard), data)


def _figures(memory: Memory, spec: FineTuningSpec, alias: str) -> dict[str, Any]:
    mine = HubVersion.organization_id == spec.organization_id
    with memory.database.reading() as session:
        return session.scalar(select(HubVersion.metrics).where(mine, HubVersion.alias == alias)) or {}


def _sentence(name: str, condition: Condition, holds: bool, value: float | None, standard: float | None) -> str:
    whose = {"champion": " of the champion", "base": " of the base model"}.get(str(condition.standard), "")
    outcome = f"The new version {'becomes' if holds else 'does not become'} the champion of {name}"
    if value is None:
        return f"{outcome}: {condition.metric} was not measured."
    if standard is None and holds:
        return f"{outcome}: there was none before ({condition.metric} {value:.4g})."
    if standard is None:
        return f"{outcome}: the {condition.metric}{whose}, which it must better, was not measured."
    relation = condition.comparison if holds else f"not {condition.comparison}"
    return f"{outcome}: its {condition.metric} {value:.4g} is {relation} {standard:.4g}{whose}."
