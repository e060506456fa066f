"""Full fine-tuning: every weight is trained."""

from __future__ import annotations

from transformers import PreTrainedModel

from afinador.config.hyperparameters import Hyperparameters


def apply(model: PreTrainedModel, hyperparameters: Hyperparameters) -> PreTrainedModel:
    """Return the same model with all parameters trainable."""
    model.requires_grad_(True)
    return model
