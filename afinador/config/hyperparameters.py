"""The hyperparameters of a run: names and types here, defaults and ranges in ``defaults/*.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from afinador.config.promotion import Condition
from afinador.errors import InvalidRequestError
from afinador.schemas.prompts import require_known_places
from afinador.wording import complaint

DEFAULTS_OF = {"full": ("base", "full"), "lora": ("base", "lora"), "qlora": ("base", "lora", "qlora")}
"""The files of defaults of each tuning method; what a later one says of a key holds."""

METHODS_TODAY = tuple(DEFAULTS_OF)
"""Tuning methods that can be trained by this version."""

_WHY_EXCLUDED = {
    "warmup_ratio": "Give warmup_steps or warmup_ratio, not both.",
    "packing": "packing goes with the attention sdpa or eager, whose masks keep the examples of a row apart; attention is "
    "'flash_attention_2'. Leave out one of the two.",
}

ALIASES = {"n_epochs": "epochs", "lr": "learning_rate"}


class Hyperparameters(BaseModel):
    """All resolved numbers of one run; keys of other methods are None.

    Each is described, with its default and range, beside its name in ``defaults/*.yaml``.
    """

    model_config = ConfigDict(extra="forbid")

    epochs: int
    learning_rate: float
    batch_size: int
    micro_batch_size: int | None
    warmup_steps: int
    warmup_ratio: float
    weight_decay: float
    lr_scheduler: Literal["linear", "cosine", "constant"]
    max_grad_norm: float
    gradient_checkpointing: bool
    max_length: int
    packing: bool
    extraction: Literal["prompt", "schema"]
    prompts: dict[str, str] | None
    extraction_schema: dict[str, Any] | None
    precision: Literal["auto", "float32", "bfloat16"]
    optimizer: Literal["adamw", "adamw_8bit", "adafactor", "sgd"]
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"]
    engine: Literal["accelerate_loop", "hf_trainer"]
    deterministic: bool
    save_steps: int
    save_each_epoch: bool
    save_total_limit: int
    eval_steps: int | None
    logging_steps: int
    early_stopping_patience: int | None
    max_skipped_steps: int
    generation_max_new_tokens: int
    generation_examples: int
    group_by_length: bool
    logits_at_labels_only: bool
    max_attempts: int
    orphan_timeout_seconds: int
    promote_if: str | None
    output_dir: str | None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_dropout: float | None = None
    lora_bias: Literal["none", "all", "lora_only"] | None = None
    target_modules: str | list[str] | None = None
    modules_to_save: list[str] | None = None
    quantization_bits: Literal[4, 8] | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_older_versions_meant_it(cls, values: Any) -> Any:
        """Fill in what a specification that an older version stored does not name yet."""
        return {key: entry["default"] for key, entry in shipped("base").items()} | values


@cache
def shipped(name: str) -> dict[str, dict[str, Any]]:
    """Return what one of our files of defaults says, such as ``base``: default and range of each of its keys."""
    text = files("afinador.config").joinpath("defaults", f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text) or {}


def let_the_stronger_stand(values: Hyperparameters, sources: dict[str, str], layers: list[str]) -> None:
    """Of two keys that exclude each other, take back the one from the weaker layer; of the same layer, neither.

    A part of a batch that is larger than the batch of a stronger layer becomes the batch.

    Args:
        values: Changed in place.
        sources: The layer that each comes from; changed in place.
        layers: Their names, weakest first.
    """
    for excluded in _excluded(values):
        weaker, stronger = sorted(excluded, key=lambda key: layers.index(sources[key]))
        if sources[weaker] != sources[stronger]:
            setattr(values, weaker, shipped("base")[weaker]["default"])
            sources[weaker] = "default"
    if _is_too_large_a_part(values) and layers.index(sources["micro_batch_size"]) < layers.index(sources["batch_size"]):
        values.micro_batch_size = values.batch_size


def _is_too_large_a_part(values: Hyperparameters) -> bool:
    return values.micro_batch_size is not None and values.micro_batch_size > values.batch_size


def _excluded(values: Hyperparameters) -> Iterator[tuple[str, str]]:
    """Find pairs of keys that are good by themselves and not together."""
    if values.warmup_steps and values.warmup_ratio:
        yield "warmup_steps", "warmup_ratio"
    if values.packing and values.attention == "flash_attention_2":
        yield "attention", "packing"


def check_together(values: Hyperparameters) -> None:
    """Refuse what is of the right type and means nothing, and what is good by itself and not together.

    Raises:
        InvalidRequestError: Names one of the keys.
    """
    if values.target_modules is not None and not values.target_modules:
        said = f"target_modules is {values.target_modules!r}, which names no layer; leave it out for all linear layers."
        raise InvalidRequestError(said, param="hyperparameters.target_modules")
    for _, key in _excluded(values):
        raise InvalidRequestError(_WHY_EXCLUDED[key], param=f"hyperparameters.{key}")
    if _is_too_large_a_part(values):
        raise InvalidRequestError(
            f"micro_batch_size is {values.micro_batch_size} and batch_size {values.batch_size}; the first is how many examples "
            f"of a batch a pass takes. Give at most {values.batch_size}, or leave micro_batch_size out.",
            param="hyperparameters.micro_batch_size",
        )
    require_known_places(values.prompts, param="hyperparameters.prompts")
    if values.promote_if is not None:
        Condition.parse(values.promote_if)


def typed(values: dict[str, Any]) -> Hyperparameters:
    """Return values of all keys in their types.

    Raises:
        InvalidRequestError: One has the wrong type.
    """
    try:
        return Hyperparameters.model_validate(values)
    except ValidationError as error:
        key, said = complaint(error)
        raise InvalidRequestError(said, param=f"hyperparameters.{key}") from error
