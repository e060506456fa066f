"""Which base models this version trains: their architectures, and how large they may be."""

from __future__ import annotations

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
