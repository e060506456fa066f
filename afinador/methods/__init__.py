"""What is trainable, one file a method: ``apply(model, hyperparameters)`` returns the model to train."""

from collections.abc import Callable

from torch import nn
from transformers import PreTrainedModel

from afinador.config.hyperparameters import Hyperparameters
from afinador.methods import full, lora, qlora

METHODS: dict[str, Callable[[PreTrainedModel, Hyperparameters], nn.Module]] = {
    "full": full.apply,
    "lora": lora.apply,
    "qlora": qlora.apply,
}
"""Tuning methods by their name in a request."""
