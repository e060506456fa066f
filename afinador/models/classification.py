"""Classifiers of texts: a body that is trained already, and a head on it, its own or a new one.

Legend: B examples, T positions, C classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from afinador.config.architectures import CAUSAL_ARCHITECTURES, CLASSIFICATION_ARCHITECTURES
from afinador.data.tokens.batching import pad_id_of
from afinador.models.families import ScoredTargets, TokenScores, pretrained_model_of
from afinador.models.loading import Precision, load_checked, require_trained_architecture

POOLER = "pooler"
"""Layer of BERT between body and head; checkpoints made for masked words come without it."""


@dataclass(frozen=True)
class Classifier:
    """A model that gives each text a score for each class.

    Attributes:
        classes: By their ids: the base's own order if it keeps its head.
        keeps_head: The base is a classifier of the same classes already.
        saved_whole: Names of the layers that no adapter can stand for, as ``modules_to_save`` wants them: the head, and
            the pooler where the checkpoint has none.
    """

    model: PreTrainedModel
    classes: tuple[str, ...]
    keeps_head: bool
    saved_whole: tuple[str, ...]


class ClassScores(nn.Module):
    """Scores a batch of texts with a classifier.

    Args:
        model: A transformers model for sequence classification, or a PEFT model around one.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # A causal body would keep keys and values that nobody asks for.
        self._options: dict[str, Any] = {"use_cache": False} if _pools_last_token(pretrained_model_of(model)) else {}

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> ScoredTargets:
        """Score a batch of right-padded texts, (B, T); ``labels`` are the ids of their classes, (B, 1)."""
        logits_BC = self.model(input_ids=input_ids, attention_mask=attention_mask, **self._options).logits
        return ScoredTargets(logits_BC, labels[:, 0])


def scores_of(model: nn.Module, *, logits_at_labels_only: bool) -> TokenScores | ClassScores:
    """Return what scores a batch with a model: classes of a classifier, tokens of a causal language model."""
    if is_classifier(model):
        return ClassScores(model)
    return TokenScores(model, logits_at_labels_only=logits_at_labels_only)


def is_classifier(model: nn.Module) -> bool:
    """Return whether a model, or the one inside PEFT's wrapper, classifies texts."""
    return type(pretrained_model_of(model)).__name__.endswith("ForSequenceClassification")


def load_classifier(
    path: Path | str,
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    precision: Precision,
    device: torch.device | str,
    seed: int,
    attention: str = "auto",
) -> Classifier:
    """Return a classifier in evaluation mode, on the body of a model folder.

    A base that is a classifier of exactly these classes keeps its head. Any other gets a new one, drawn from ``seed``
    as transformers would draw it: weights from a normal distribution of the model's ``initializer_range``, biases 0.

    Args:
        path: A folder as ``save_pretrained`` writes it, made for whatever purpose.
        labels: The classes.
        tokenizer: Of this folder; a causal body finds the last token of a text by its pad token.
        precision: Of the weights in memory.
        device: Where the weights go.
        seed: Of the new weights.
        attention: As for ``afinador.models.loading.load_causal_lm``.

    Raises:
        ModelTooLargeError: As ``afinador.models.loading.load_causal_lm``.
        UnsupportedModelError: As there.
        ModelError: As there; weights of the body are missing, or have another shape.
    """
    folder = Path(path)
    require_trained_architecture(folder, (*CAUSAL_ARCHITECTURES, *CLASSIFICATION_ARCHITECTURES))
    own = own_classes(folder)
    keeps_head = own is not None and set(own) == set(labels)
    classes = tuple(own if own is not None and keeps_head else labels)
    with _load_report_unsaid():
        model, missing = load_checked(
            AutoModelForSequenceClassification,
            folder,
            precision=precision,
            device=device,
            attention=attention,
            replaceable=(lambda model: ()) if keeps_head else _replaceable,
            config=_config(folder, classes),
        )
    new = [] if keeps_head else head_of(model)
    if any(f".{POOLER}." in name for name in missing):
        new.append(POOLER)
    _draw(model, new, seed)
    if _pools_last_token(model):
        model.config.pad_token_id = pad_id_of(tokenizer)
    saved_whole = dict.fromkeys([*head_of(model), *new])
    return Classifier(model.to(device).eval(), classes, keeps_head, tuple(saved_whole))


def own_classes(folder: Path) -> list[str] | None:
    """Return the classes of a folder that holds a classifier, by their ids; None of any other."""
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    if not (config.architectures or [""])[0].endswith("ForSequenceClassification"):
        return None
    return [str(config.id2label[number]) for number in sorted(config.id2label)]


def head_of(model: PreTrainedModel) -> list[str]:
    """Return the names of a classifier's own layers: ``classifier``, ``score``, and what else stands on the body."""
    return [
        name
        for name, layer in model.named_children()
        if name != model.base_model_prefix and any(True for _ in layer.parameters())
    ]


def _replaceable(model: PreTrainedModel) -> list[str]:
    return [*head_of(model), f"{model.base_model_prefix}.{POOLER}"]


def _config(folder: Path, classes: Sequence[str]) -> Any:
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: number for number, name in enumerate(classes)}
    config.problem_type = "single_label_classification"  # a base may have been made for several labels at once
    return config


def _pools_last_token(model: PreTrainedModel) -> bool:
    """Whether the class is read at the last token, as causal bodies need it; transformers names that head ``score``."""
    return hasattr(model, "score")


def _draw(model: PreTrainedModel, names: list[str], seed: int) -> None:
    """Draw new weights, on the CPU and in the order of the layers, so that they depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and any(part in names for part in name.split(".")):
            weight = torch.empty(layer.weight.shape).normal_(0.0, model.config.initializer_range, generator=generator)
            layer.weight.data.copy_(weight)
            if layer.bias is not None:
                layer.bias.data.zero_()


@contextmanager
def _load_report_unsaid() -> Iterator[None]:
    """Keep transformers from warning of a new head and of heads not used, which both are meant to be so."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
