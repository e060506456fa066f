"""The data of a run: read, tokenised or taken from the cache, and described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.extraction import Extraction, extraction_of
from afinador.data.shapes import Example
from afinador.data.tokens.batching import BatchOrder
from afinador.data.tokens.cache import Cached, TokenCache
from afinador.data.tokens.classified import TEXT_AS_IT_IS, ClassForm
from afinador.data.tokens.loading import examples_of, load_tokens
from afinador.data.tokens.prompting import PromptForm, Summary, prompt_form
from afinador.data.tokens.rows import TokenRows
from afinador.data.tokens.templates import template_name
from afinador.data.tokens.tokenisation import CutCounts, count_cuts
from afinador.errors import ModelError
from afinador.figures import counted, size
from afinador.models.families import vocabulary_size_of
from afinador.training.caching import cache_of
from afinador.training.run_dir import RunDir
from afinador.training.setup import Subject


@dataclass(frozen=True)
class Data:
    """A data set as token ids, and what there is to know of it.

    Attributes:
        file: What it was read from.
        summary: Of its examples.
        tokenised: In the order of the examples; a long text is several pieces.
        lengths: Tokens of each piece.
        form: How the trained model is to be asked.
        cuts: Of prompts with their answers, or texts to be classified, that were longer than ``max_length``.
        cached: How the cache of tokenised data has served; None where there is none.
    """

    file: DataFile
    extraction: Extraction
    summary: Summary
    tokenised: TokenRows
    lengths: list[int]
    template: str
    form: PromptForm | ClassForm
    cuts: CutCounts
    cached: Cached | None = None

    def examples(self) -> Iterator[Example]:
        """Read the examples once more, as texts; no run holds them all."""
        return examples_of(self.file, self.extraction)


def load_data(
    file: DataFile,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    classes: tuple[str, ...] = (),
    *,
    extraction: Extraction | None = None,
    cache: TokenCache | None = None,
) -> Data:
    """Read and tokenise a data set; its labels are ids of ``classes`` where there are any.

    Documents are asked for by ``extraction``. What ``cache`` has is neither read nor rendered.

    Raises:
        DataError: A record cannot be used, or there are none.
        ModelError: See ``prompt_form``.
    """
    extraction = extraction or Extraction()
    loaded = load_tokens(file, tokenizer, max_length, classes, extraction=extraction, cache=cache)
    form = ClassForm(classes, max_length) if classes else prompt_form(loaded.summary, tokenizer, extraction)
    template = TEXT_AS_IT_IS if classes else template_name(tokenizer)
    rows = loaded.rows
    cuts = count_cuts(rows.cuts())
    return Data(file, extraction, loaded.summary, rows, rows.lengths(), template, form, cuts, loaded.cached)


def order_batches(data: Data, spec: FineTuningSpec) -> BatchOrder:
    """Return the order in which the examples come."""
    settings = spec.hyperparameters
    return BatchOrder(
        data.lengths,
        settings.batch_size,
        epochs=settings.epochs,
        seed=spec.seed,
        group_by_length=settings.group_by_length,
    )


def load_both(spec: FineTuningSpec, subject: Subject, max_length: int, run_dir: RunDir) -> tuple[Data, Data | None]:
    """Load what is learnt from and what is held out, through the cache that the run directory names, if it does.

    Raises:
        DataError: See ``load_data``.
        ModelError: See ``load_data``; or the tokenizer makes tokens that the model does not know.
    """
    cache, extraction = cache_of(run_dir), extraction_of(spec.hyperparameters)
    loaded = []
    for file in filter(None, (spec.training_file, spec.validation_file)):
        data = load_data(file, subject.tokenizer, max_length, subject.classes, extraction=extraction, cache=cache)
        _require_known_tokens(data, subject)
        loaded.append(data)
        if (cached := data.cached) is not None:
            figures: dict[str, Any] = {"rows": len(cached.tokenised), "bytes": cached.bytes, "cached": cached.is_hit}
            run_dir.log_event("message", "info", _served(cached, file), **figures)
    return loaded[0], loaded[1] if len(loaded) > 1 else None


def _require_known_tokens(data: Data, subject: Subject) -> None:
    """Refuse tokens that the model has no embedding for, which would end training in the middle of a pass."""
    known, largest = vocabulary_size_of(subject.model), data.tokenised.largest_id()
    if largest >= known:
        token = subject.tokenizer.convert_ids_to_tokens(largest)
        raise ModelError(
            f"The tokenizer of {subject.base.name!r} makes the token {token!r} of {data.file.name}, number {largest}, but "
            f"config.json of the model says vocab_size {known}: numbers from 0 to {known - 1}. Take tokenizer and weights of "
            "the same model, or enlarge its embeddings (resize_token_embeddings of transformers) and register it again."
        )


def _served(cached: Cached, file: DataFile) -> str:
    rows = counted(len(cached.tokenised), "row")
    if cached.is_hit:
        return f"{file.name} was tokenised before: {rows}, {size(cached.bytes)} of the cache; nothing was tokenised."
    kept = f"kept for later jobs in {size(cached.bytes)}" if cached.bytes else "not kept for later jobs"
    return f"{file.name} was tokenised: {rows}, {kept}."
