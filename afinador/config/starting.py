"""A training that starts from a checkpoint or the adapter of another one: what must be the same, and what is taken from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.spec import DataFile, FineTuningSpec, StartingPoint
from afinador.errors import InvalidRequestError
from afinador.schemas.dataset_formats import Format
from afinador.schemas.datasets import DatasetReading
from afinador.schemas.jobs import JobRequest, Task, TuningMethod
from afinador.wording import shown

_SHAPING = frozenset({"lora_rank", "lora_alpha", "lora_bias", "target_modules", "modules_to_save", "quantization_bits"})
"""Decide which weights are trained, of which shapes, and what they mean."""
_FREE = frozenset(
    {
        "save_steps", "save_each_epoch", "save_total_limit", "eval_steps", "logging_steps", "max_skipped_steps",
        "generation_max_new_tokens", "generation_examples", "max_attempts", "orphan_timeout_seconds", "promote_if",
    }
)  # fmt: skip
"""Change no bit of the weights that a training ends with."""
CLASSES_SHOWN = 5
_OWN = frozenset({"output_dir"})
"""Belong to the run alone."""


def other_classes(start: StartingPoint, now: Iterable[str], had: Iterable[str]) -> str:
    """Return the sentence on data whose classes are not those of what a run is to start from.

    Args:
        start: What it is to start from.
        now: The classes of the data.
        had: The classes of that.
    """
    only = [
        ", ".join(map(repr, sorted(set(one) - set(other))[:CLASSES_SHOWN])) or "none"
        for one, other in ((now, had), (had, now))
    ]
    return (
        f"The {start.kind} {start.name} does not fit the data: its classes are others (only in the data: {only[0]}; "
        f"only in the {start.kind}: {only[1]}). Start from the base model."
    )


class FileReading(BaseModel):
    """How a data set is read; the same bytes read otherwise are other records.

    Attributes:
        format: Found or declared, which are the same.
        declared: What else was declared; None where nothing was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Format | None = None
    declared: DatasetReading | None = None

    @classmethod
    def of(cls, file: DataFile | None) -> FileReading:
        """Return that of a data set, if there is one."""
        if file is None:
            return cls()
        return cls(format=file.format, declared=file.reading)

    @field_validator("declared")
    @classmethod
    def _beside_format(cls, value: DatasetReading | None) -> DatasetReading | None:
        declared = DatasetReading() if value is None else value.model_copy(update={"format": None})
        return None if declared == DatasetReading() else declared

    def __str__(self) -> str:
        """Return what a message calls it."""
        declared = self.declared.to_json() if self.declared else {}
        return ", ".join([str(self.format), *(f"{name} {shown(value)}" for name, value in declared.items())])


class Recipe(BaseModel):
    """What decides the bits of a training; kept with each of its checkpoints.

    Attributes:
        training_reading: How the file was read; not among the fields that were set in what an older version has kept.
    """

    model_config = ConfigDict(extra="forbid")

    base_model: str
    base_model_sha256: str
    training_file: str
    training_file_sha256: str
    training_reading: FileReading = FileReading()
    validation_file: str | None
    validation_file_sha256: str | None
    validation_reading: FileReading = FileReading()
    tuning_method: TuningMethod
    task: Task
    seed: int
    hyperparameters: Hyperparameters

    @classmethod
    def of(cls, spec: FineTuningSpec) -> Recipe:
        """Return that of a run."""
        held_out = spec.validation_file
        return cls(
            base_model=spec.base_model.name,
            base_model_sha256=spec.base_model.sha256,
            training_file=spec.training_file.name,
            training_file_sha256=spec.training_file.sha256,
            training_reading=FileReading.of(spec.training_file),
            validation_file=held_out and held_out.name,
            validation_file_sha256=held_out and held_out.sha256,
            validation_reading=FileReading.of(held_out),
            tuning_method=spec.tuning_method,
            task=spec.task,
            seed=spec.seed,
            hyperparameters=spec.hyperparameters,
        )


@dataclass(frozen=True)
class Start:
    """A checkpoint or adapter to start from, with what is known of its training.

    All methods raise InvalidRequestError, with the code ``checkpoint_does_not_fit`` or ``adapter_does_not_fit``, for whatever does not fit to it.
    """

    point: StartingPoint
    recipe: Recipe

    def completed(self, request: JobRequest) -> JobRequest:
        """Return a request with the method and the task of the checkpoint, and with its seed if its training goes on."""
        names = ["tuning_method", "task", *(["seed"] if self._goes_on else [])]
        taken = {name: getattr(self.recipe, name) for name in names}
        given = {name: getattr(request, name) for name in names}
        self._refuse({name: given[name] for name in names if given[name] not in (None, taken[name])}, taken)
        return request.model_copy(update=taken)

    def fitted(
        self, hyperparameters: Hyperparameters, sources: dict[str, str]
    ) -> tuple[Hyperparameters, dict[str, str]]:
        """Return hyperparameters and their sources after what was not asked for is taken from the checkpoint.

        Of weights alone that is what they would not fit without; of a whole state everything.
        """
        had, now = self.recipe.hyperparameters.model_dump(), hyperparameters.model_dump()
        asked = {key for key, source in sources.items() if source in ("file", "request")}
        bound = self._bound()
        self._refuse({key: now[key] for key in now if key in asked & bound and _differ(now[key], had[key])}, had)
        inherited = had.keys() - _OWN if self._goes_on else _SHAPING
        taken = {key: had[key] for key in inherited if key in bound or key not in asked}
        told = {key: self.point.kind for key in taken if key in sources and key not in asked}
        if self._goes_on:
            told["seed"] = self.point.kind
        return hyperparameters.model_copy(update=taken), sources | told

    def require_base_model(self, name: str, sha256: str) -> None:
        """Refuse another base model."""
        if sha256 != self.recipe.base_model_sha256:
            self._refuse_file("model", name, sha256, self.recipe.base_model, self.recipe.base_model_sha256)

    def require_data(self, training_file: DataFile, validation_file: DataFile | None) -> None:
        """Refuse other data where training goes on; weights go with any."""
        if not self._goes_on:
            return
        for field, file in (("training_file", training_file), ("validation_file", validation_file)):
            name, sha256 = (file.name, file.sha256) if file else (None, None)
            had_name, had_sha256 = getattr(self.recipe, field), getattr(self.recipe, f"{field}_sha256")
            if sha256 != had_sha256:
                self._refuse_file(field, name, sha256, had_name, had_sha256)
            self._require_reading(field, file)

    def _require_reading(self, field: str, file: DataFile | None) -> None:
        name = f"{field.removesuffix('_file')}_reading"
        had, now = getattr(self.recipe, name), FileReading.of(file)
        if name in self.recipe.model_fields_set and now != had:
            said = (
                f"{field} has the same content as there, but is read as {now}, there as {had}. Declare the same reading"
            )
            raise self._misfit(said, field)

    @property
    def _goes_on(self) -> bool:
        return self.point.state == "whole"

    def _bound(self) -> frozenset[str]:
        if not self._goes_on:
            return _SHAPING
        free, settings = set(_FREE), self.recipe.hyperparameters
        if settings.early_stopping_patience is not None:  # what is published depends on when it was measured
            free -= {"eval_steps", *(["save_steps"] if settings.eval_steps is None else [])}
        return frozenset(Hyperparameters.model_fields.keys() - free - _OWN)

    def _refuse(self, given: dict[str, Any], had: dict[str, Any]) -> None:
        if not given:
            return
        said = "; ".join(f"{key} is {shown(value)}, there {shown(had[key])}" for key, value in given.items())
        first = next(iter(given))
        param = f"hyperparameters.{first}" if first in Hyperparameters.model_fields else first
        raise self._misfit(f"{said}. Leave {'it' if len(given) == 1 else 'them'} out", param)

    def _refuse_file(self, field: str, name: str | None, sha256: str | None, had: str | None, was: str | None) -> None:
        told = [f"{each!r} (SHA-256 {hash})" if each else "none" for each, hash in ((name, sha256), (had, was))]
        raise self._misfit(f"{field} is {told[0]}, there {told[1]}. Give the same content, or leave it out", field)

    def _misfit(self, said: str, param: str) -> InvalidRequestError:
        remedy = "; or set from_checkpoint_state to 'weights', for a new training with its weights" * self._goes_on
        if self.point.kind == "adapter":
            remedy = f"; or start from its base model, {self.recipe.base_model!r}"
        return InvalidRequestError(
            f"The {self.point.kind} {self.point.name} does not fit: {said}{remedy}.",
            param=param,
            code=f"{self.point.kind}_does_not_fit",
        )


def _differ(one: Any, other: Any) -> bool:
    """Compare two values; the order of names means nothing."""
    if isinstance(one, list) and isinstance(other, list):
        return sorted(one) != sorted(other)
    return bool(one != other)
