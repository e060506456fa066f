"""What a job is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from afinador.errors import InvalidRequestError


class FineTuningMethod(StrEnum):
    """What is trained; a job whose method this version does not offer is refused by name."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"
    PREFIX_TUNING = "prefix_tuning"
    PROMPT_TUNING = "prompt_tuning"


class DatasetFormat(StrEnum):
    """How a data set is written.

    ``HUGGINGFACE`` is a folder that ``datasets.save_to_disk`` wrote, ``CUSTOM`` whatever a loader of yours reads. Both
    can be prepared, and neither can be written or trained on as it is.
    """

    JSONL = "jsonl"
    CSV = "csv"
    JSON = "json"
    TEXT = "text"
    HUGGINGFACE = "huggingface"
    CUSTOM = "custom"


Choice = TypeVar("Choice", bound=StrEnum)


def chosen(kind: type[Choice], value: str, name: str) -> Choice:
    """Return a member of a choice, by itself or by its word.

    Raises:
        InvalidRequestError: There is no such word; names those that there are.
    """
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidRequestError(f"{name} is {value!r}; it must be one of: {', '.join(kind)}.", param=name) from error


def path_of(value: Any, name: str) -> Path:
    """Return the path that an argument gives, with ``~`` as the folder of the user.

    Raises:
        InvalidRequestError: It is no path, or that of no file.
    """
    try:
        path = Path(value).expanduser()
    except (TypeError, RuntimeError):  # no path; no such user
        path = Path()
    if not path.name or "\0" in path.name:
        raise InvalidRequestError(f"{name} is {value!r}; it must be the path of a file or folder.", param=name)
    return path


@dataclass(frozen=True)
class FineTuningConfig:
    """What to train on what, and how. Numbers that are left out are the defaults of the method.

    Attributes:
        model_id: A folder, or the name of a registered model, of the operator's ``model_aliases``, or of a folder
            below ``AFINADOR_MODEL_ROOTS``.
        dataset_path: The prepared data set.
        output_dir: The job gets a folder of its own in it, with the model in ``final/``.
        validation_dataset_path: Data on which base and tuned model are compared.
        task: ``causal_lm`` or ``sequence_classification``; by the model's architecture if left out.
        hyperparameters: Any further ones, by name.
    """

    model_id: str
    dataset_path: str | Path
    output_dir: str | Path
    method: FineTuningMethod = FineTuningMethod.LORA
    dataset_format: DatasetFormat = DatasetFormat.JSONL
    validation_dataset_path: str | Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_dropout: float | None = None
    quantization_bits: int | None = None
    seed: int | None = None
    task: str | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)

    def given_hyperparameters(self) -> dict[str, Any]:
        """Return those that are not left out."""
        names = (
            "epochs", "batch_size", "learning_rate", "lora_rank", "lora_alpha", "lora_dropout", "quantization_bits",
        )  # fmt: skip
        own = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {**self.hyperparameters, **own}
