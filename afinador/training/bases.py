"""The base model of a run with its tokenizer, as the task wants both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.spec import FineTuningSpec
from afinador.data.labels import LabelledFile, classes_of
from afinador.data.tokens.batching import pad_id_of
from afinador.data.tokens.tokenizer_files import load_tokenizer
from afinador.data.validation import require_valid, validate_dataset
from afinador.models.classification import load_classifier, own_classes
from afinador.models.families import context_length_of, vocabulary_size_of
from afinador.models.loading import Precision, load_causal_lm


@dataclass(frozen=True)
class Base:
    """A model before its method is applied.

    Attributes:
        classes: By their ids; none unless it classifies.
        saved_whole: Layers that are trained and saved whole beside any adapter.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    classes: tuple[str, ...] = ()
    saved_whole: tuple[str, ...] = ()

    def settings(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """Return hyperparameters by which the method also trains what has to be saved whole."""
        if not self.saved_whole or hyperparameters.modules_to_save is None:
            return hyperparameters
        names = list(dict.fromkeys([*hyperparameters.modules_to_save, *self.saved_whole]))
        return hyperparameters.model_copy(update={"modules_to_save": names})


def load_base(spec: FineTuningSpec, path: Path | str, *, precision: Precision, device: torch.device | str) -> Base:
    """Load a model for the spec's task.

    Args:
        spec: Of the run.
        path: Folder of the base model, or of what a full fine-tune made of it.
        precision: Of the weights in memory.
        device: Where they go.

    Raises:
        ModelError: See ``afinador.models.loading`` and ``afinador.models.classification``.
        DataError: The labels of the data are no classes; see ``afinador.data.labels``.
    """
    attention = spec.hyperparameters.attention
    if spec.task != "sequence_classification":
        bits = spec.hyperparameters.quantization_bits
        model = load_causal_lm(path, precision=precision, device=device, attention=attention, quantization_bits=bits)
        return Base(model, _padding_within(load_tokenizer(path), vocabulary_size_of(model)))
    labels = find_classes(spec)
    known = AutoConfig.from_pretrained(str(path), local_files_only=True).get_text_config().vocab_size
    tokenizer = _padding_within(load_tokenizer(path, ends_answers=False), known)
    loaded = load_classifier(
        path, labels, tokenizer, precision=precision, device=device, seed=spec.seed, attention=attention
    )
    _prepare_for_classifier(tokenizer, loaded.model)
    return Base(loaded.model, tokenizer, loaded.classes, loaded.saved_whole)


def find_classes(spec: FineTuningSpec) -> list[str]:
    """Return the classes of the training file, in order, after a look at the validation file too.

    Raises:
        DataError: They are no classes, or the validation file has others; see ``afinador.data.labels``.
    """
    files = []
    for file in filter(None, (spec.training_file, spec.validation_file)):
        report = validate_dataset(Path(file.path), file.name, file.reading)
        require_valid(report, file.name)
        files.append(LabelledFile(file.name, report.shape, report.labels))
    return classes_of(*files)


def base_has_head(spec: FineTuningSpec, classes: tuple[str, ...]) -> bool:
    """Return whether the base model told these very classes apart before it was tuned."""
    return set(own_classes(Path(spec.base_model.path)) or ()) == set(classes)


def _padding_within(tokenizer: PreTrainedTokenizerBase, known: int) -> PreTrainedTokenizerBase:
    """Pad with EOS where the pad token was added to a tokenizer whose model was not enlarged for it."""
    if (tokenizer.pad_token_id or 0) >= known:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _prepare_for_classifier(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Let the tokenizer do by itself, wherever it is loaded later, what the classifier needs of it."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = str(tokenizer.convert_ids_to_tokens(pad_id_of(tokenizer)))
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "right"
    tokenizer.model_max_length = min(tokenizer.model_max_length, context_length_of(model) or tokenizer.model_max_length)
