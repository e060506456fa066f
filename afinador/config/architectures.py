"""Which base models this version trains: their architectures, and how large they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afinador.errors import ModelTooLargeError, UnsupportedModelError
from afinador.schemas.jobs import Task

MAX_PARAMETERS = 15_000_000_000
"""Models with more parameters are refused (specification, 1.4)."""

CAUSAL_ARCHITECTURES = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "GemmaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "GPT2LMHeadModel",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)
"""Architectures that this version trains; further ones come with their own tests."""

CLASSIFICATION_ARCHITECTURES = (
    "BertModel",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForSequenceClassification",
    "DistilBertModel",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "RobertaModel",
    "RobertaForMaskedLM",
    "RobertaForSequenceClassification",
    "LlamaForSequenceClassification",
    "MistralForSequenceClassification",
    "GemmaForSequenceClassification",
    "Gemma2ForSequenceClassification",
    "Gemma3TextForSequenceClassification",
    "GPT2ForSequenceClassification",
    "Qwen2ForSequenceClassification",
    "Qwen3ForSequenceClassification",
)
"""Architectures that are trained to classify and for nothing else; all of ``CAUSAL_ARCHITECTURES`` may be, too."""


def tasks_of(architecture: str) -> tuple[Task, ...]:
    """Return the tasks that an architecture is trained for, the one meant by default first.

    Raises:
        UnsupportedModelError: There are none.
    """
    if architecture in CAUSAL_ARCHITECTURES:
        return ("causal_lm", "sequence_classification")
    if architecture in CLASSIFICATION_ARCHITECTURES:
        return ("sequence_classification",)
    raise UnsupportedModelError(
        f"The base model is a {architecture!r}; this version trains: {', '.join(CAUSAL_ARCHITECTURES)}; and to classify "
        f"texts, beside those: {', '.join(CLASSIFICATION_ARCHITECTURES)}.",
        param="model",
    )


def context_length(config: Mapping[str, Any]) -> int | None:
    """Return how many positions a model was made for, or None if its configuration (``config.json``) does not say."""
    if config.get("model_type") == "roberta":  # its positions are counted from behind the padding's own
        return int(config["max_position_embeddings"]) - int(config["pad_token_id"]) - 1
    length = config.get("max_position_embeddings") or config.get("n_positions")
    return int(length) if length else None


def check_parameter_count(name: str, parameters: int) -> None:
    """Refuse models that are too large.

    Raises:
        ModelTooLargeError: More than 15 billion parameters.
    """
    if parameters > MAX_PARAMETERS:
        raise ModelTooLargeError(
            f"{name} has {parameters / 1e9:.1f}B parameters; at most {MAX_PARAMETERS / 1e9:.0f}B are trained. "
            "Choose a smaller base model.",
            param="model",
        )
