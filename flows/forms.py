"""What the Prefect UI asks for: the schema of a form. The values are checked by the flow, as the API checks them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from afinador.config.described import described
from afinador.config.hyperparameters import METHODS_TODAY

_DESCRIBED = {each.key: each for each in described()}


def _optional(description: str, **schema: Any) -> Any:
    """Describe a field that may stay empty; a null as its default would make the form ask for a type first."""

    def change(found: dict[str, Any]) -> None:
        del found["default"]
        found.update(schema)

    return Field(default=None, description=description, json_schema_extra=change)


def _hyperparameter(key: str, **schema: Any) -> Any:
    each = _DESCRIBED[key]
    return _optional(f"{each.meaning} {each.values}; default: {each.default}.".replace("..", "."), **schema)


# The form shows the first until another is chosen. Prefect itself takes a null only for a field of one type.
_NUMBER_OR_AUTO = [{"type": "integer"}, {"type": "string", "enum": ["auto"]}, {"type": "null"}]


class SavedSpec(BaseModel):
    """A saved job spec, by its name."""

    model_config = ConfigDict(title="A saved job spec", extra="forbid")

    job_spec: str = Field(description="Its name, as in `afinador list job-spec`.")


class Hyperparameters(BaseModel):
    """Those that matter most; what stays empty has its default. All others go into the advanced configuration."""

    model_config = ConfigDict(extra="forbid")

    epochs: int = _hyperparameter("epochs")
    learning_rate: float = _hyperparameter("learning_rate")
    batch_size: int | Literal["auto"] = _hyperparameter("batch_size", anyOf=_NUMBER_OR_AUTO)
    lora_rank: int = _hyperparameter("lora_rank")
    lora_alpha: float = _hyperparameter("lora_alpha")
    lora_dropout: float = _hyperparameter("lora_dropout")
    quantization_bits: int = _hyperparameter("quantization_bits")


class JobForm(BaseModel):
    """A fine-tuning job, as the API takes it."""

    model_config = ConfigDict(title="A whole request", extra="forbid")

    base_model: str = _optional(
        "A registered base model, or a result to go on from, by hub name or alias. Needed without from_checkpoint."
    )
    dataset: str = _optional(
        "An uploaded file: its id, or its name for the newest version. Needed without from_checkpoint."
    )
    validation_dataset: str = _optional("Held-out data, given in the same ways; without it nothing is evaluated.")
    output_model: str = _optional("Hub name of the result. Default: made of base model and suffix.")
    tuning_method: str = _optional("Default: lora.", enum=list(METHODS_TODAY))
    task: str = _optional("Default: by the base model's architecture.", enum=["causal_lm", "sequence_classification"])
    hyperparameters: Hyperparameters = _optional("What stays empty has its default.")
    config: dict[str, Any] = _optional("The advanced configuration: any hyperparameter, as JSON.")
    validation_reading: dict[str, Any] = _optional(
        'How the validation dataset is read, if otherwise: {"split": "test"}.'
    )
    from_checkpoint: str = _optional("A checkpoint to begin with: its id, or its name ft:…:ckpt-step-N.")
    from_checkpoint_state: Literal["weights", "whole"] = _optional(
        "Its weights alone, or its training goes on exactly. Default: weights."
    )
    name: str = _optional("The job's name, unique in the organization. Default: made up.")
    suffix: str = _optional("Part of the name ft:… of the result.")
    seed: int = _optional("Of everything random. Default: made up, and kept.")
    pool: Literal["gpu", "cpu"] = _optional("Default: gpu when such a worker is online.")
    priority: int = _optional("Among the organization's waiting jobs; higher is first. Default: 0.")
    domain: str = _optional("What the model is for.")
    tags: list[str] = _optional("Words to find the job by.")
    metadata: dict[str, str] = _optional("Pairs of texts, kept with the job.")
