"""QLoRA: LoRA on base weights that are held in 4 or 8 bits (Dettmers et al. 2023, arXiv:2305.14314)."""

from __future__ import annotations

import peft
from transformers import PreTrainedModel

from afinador.config.hyperparameters import Hyperparameters
from afinador.methods import lora
from afinador.models.layer_names import quantised
from afinador.models.quantisation import is_quantised


def apply(model: PreTrainedModel, hyperparameters: Hyperparameters) -> peft.PeftModel:
    """Return the quantised model with fresh adapters, in float32, on its frozen weights.

    The same adapters as those of LoRA: they fit the model that was quantised, too. PEFT's
    ``prepare_model_for_kbit_training`` is not called; ``docs/training.md`` says why.

    Raises:
        InvalidRequestError: See ``afinador.methods.lora``; or ``modules_to_save`` names a quantised layer.
    """
    for wanted in hyperparameters.modules_to_save or []:
        for name, module in model.named_modules():
            if f".{name}".endswith(f".{wanted}") and any(map(is_quantised, module.modules())):
                raise quantised(wanted, hyperparameters.quantization_bits)
    return lora.apply(model, hyperparameters)
