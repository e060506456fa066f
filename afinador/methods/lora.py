"""LoRA: low-rank matrices beside frozen weights (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from typing import Any

import peft
from peft.utils import ModulesToSaveWrapper
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from afinador.config.hyperparameters import Hyperparameters
from afinador.errors import InvalidRequestError
from afinador.models.classification import is_classifier
from afinador.models.layer_names import ALL_LINEAR, named_by, require_layers


def apply(model: PreTrainedModel, hyperparameters: Hyperparameters) -> peft.PeftModel:
    """Return the model with fresh adapters, in float32, on its frozen weights.

    The first matrices are drawn from torch's generator, the second ones are 0: the adapted model starts as its base.
    ``all-linear`` means every linear layer except the one that makes the logits, or the classes of a classifier.

    Raises:
        InvalidRequestError: ``target_modules`` or ``modules_to_save`` names a layer that the model does not have, or
            one that cannot carry an adapter.
    """
    wanted = named_by(hyperparameters)
    require_layers(wanted, [name for name, _ in model.named_modules()], type(model).__name__)
    targets = wanted["target_modules"] or ALL_LINEAR
    config = peft.LoraConfig(
        task_type="SEQ_CLS" if is_classifier(model) else "CAUSAL_LM",
        r=hyperparameters.lora_rank or 16,
        lora_alpha=_whole(hyperparameters.lora_alpha or 32),
        lora_dropout=hyperparameters.lora_dropout or 0.0,
        bias=hyperparameters.lora_bias or "none",
        target_modules=targets,
        modules_to_save=hyperparameters.modules_to_save or None,
        # GPT-2's Conv1D keeps its weight as (inputs, outputs); a quantised layer remembers that it was one.
        fan_in_fan_out=any(getattr(module, "source_cls", type(module)) is Conv1D for module in model.modules()),
    )
    try:
        adapted = peft.get_peft_model(model, config)
    except ValueError as error:
        raise InvalidRequestError(
            f"LoRA does not fit {type(model).__name__} with target_modules={targets!r}: {error}",
            param="hyperparameters.target_modules",
        ) from error
    # PEFT names the head of a classifier once more, and heads that other architectures have.
    whole = [name for name, part in adapted.named_modules() if isinstance(part, ModulesToSaveWrapper)]
    named = dict.fromkeys(config.modules_to_save or [])
    config.modules_to_save = [name for name in named if any(layer.endswith(name) for layer in whole)] or None
    for parameter in adapted.parameters():
        if parameter.requires_grad:  # small updates vanish in 16 bits
            parameter.data = parameter.data.float()
    return adapted


def _whole(alpha: float) -> Any:
    """PEFT's configuration says int; ``32.0`` would be written to the adapter as it is."""
    return int(alpha) if float(alpha).is_integer() else alpha
