"""What MLflow is told of a job: parameters, tags, data sets and metrics, in MLflow's own words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from afinador.config.spec import DataFile, FineTuningSpec

if TYPE_CHECKING:  # MLflow takes seconds to import, so that waits for the first use
    from mlflow.entities import DatasetInput, Metric

_NOT_MEASURED = frozenset({"step", "total_steps", "timestamp_ms", "rank"})
_DIGEST_LENGTH = 32  # MLflow keeps at most 36 characters; the whole hash stands in the source


def lineage_tags(spec: FineTuningSpec) -> dict[str, str]:
    """Return where a run, or a model that it made, comes from."""
    tags = {
        "job": spec.job_id,
        "job_name": spec.job_name,
        "organization": spec.organization,
        "organization_id": spec.organization_id,
        "base_model": spec.base_model.name,
        "base_model_sha256": spec.base_model.sha256,
        "base_model_source": spec.base_model.source,
        "license": spec.base_model.license,
        "dataset": spec.training_file.name,
        "dataset_sha256": spec.training_file.sha256,
        "tuning_method": spec.tuning_method,
        "task": spec.task,
        **_start(spec),
        "from_checkpoint_state": spec.start_from and spec.start_from.state,
        "from_job": spec.start_from and spec.start_from.job_id,
        "code_version": spec.code_version,
        "domain": spec.domain,
        "tags": ", ".join(spec.tags),
    }
    return {key: value for key, value in tags.items() if value}


def run_tags(spec: FineTuningSpec) -> dict[str, str]:
    """Return the tags of a run; as its user MLflow shows whose job it is, for the service knows no persons."""
    return lineage_tags(spec) | {"mlflow.user": spec.organization}


def params(spec: FineTuningSpec) -> dict[str, Any]:
    """Return the parameters of a run: the resolved hyperparameters, and what they were applied to."""
    resolved = {
        "base_model": spec.base_model.name,
        "base_model_parameters": spec.base_model.parameters,
        "tuning_method": spec.tuning_method,
        "task": spec.task,
        "training_file": spec.training_file.name,
        "validation_file": spec.validation_file.name if spec.validation_file else None,
        "seed": spec.seed,
        **_start(spec),
        **spec.hyperparameters.model_dump(),
    }
    return {key: value for key, value in resolved.items() if value is not None}


def _start(spec: FineTuningSpec) -> dict[str, str]:
    return {f"from_{spec.start_from.kind}": spec.start_from.name} if spec.start_from else {}


def dataset_inputs(spec: FineTuningSpec) -> list[DatasetInput]:
    """Return the data sets of a run, whole hash and key in the storage included."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    def as_input(file: DataFile, context: str) -> DatasetInput:
        source: dict[str, Any] = {"file_id": file.file_id, "key": file.path, "sha256": file.sha256, "bytes": file.bytes}
        if file.source is not None:
            source["source"] = file.source
        if file.reading is not None:
            source["reading"] = file.reading.to_json()
        return DatasetInput(
            # The context belongs to the name too: of two inputs with one name and digest MLflow keeps the first.
            Dataset(f"{file.name} ({context})", file.sha256[:_DIGEST_LENGTH], "afinador-file", json.dumps(source)),
            [InputTag("mlflow.data.context", context)],
        )

    inputs = [as_input(spec.training_file, "training")]
    if spec.validation_file:
        inputs.append(as_input(spec.validation_file, "validation"))
    return inputs


def metrics_of(row: dict[str, Any], prefix: str = "") -> list[Metric]:
    """Return the numbers of a row, nested ones too, at the time when they were measured.

    MLflow adds a metric once for each value, step and timestamp: rows may be replayed, but never stamped anew.
    """
    from mlflow.entities import Metric

    timestamp_ms, step = int(row["timestamp_ms"]), int(row.get("step") or 0)
    measured = {key: value for key, value in row.items() if key not in _NOT_MEASURED}
    return [Metric(name, value, timestamp_ms, step) for name, value in _flattened(measured, prefix)]


def _flattened(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested objects and lists, their place in the name: ``gpu/0/utilization``."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flattened(inner, f"{name}/{key}" if name else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # MLflow stores infinities as ±1.8e308, which flattens the rest of a curve.
        yield name, math.nan if math.isinf(value) else float(value)
