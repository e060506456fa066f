"""Which examples go together, and how they become tensors.

Batches hold examples of similar length, so that little of them is padding. Dimensions: B examples, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch

from afinador.data.tokenisation import NOT_TRAINED, TokenisedExample
from afinador.errors import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WINDOW_BATCHES = 32
"""Examples are sorted by length within a window of so many batches: enough to save padding, few enough to stay mixed."""


@dataclass
class Batch:
    """Int64 tensors of shape (B, T), also readable as a mapping: ``model(**batch)``.

    ``labels`` are (B, 1) where each example has one label, its class.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor

    def keys(self) -> Iterator[str]:
        """Return the names of the tensors."""
        return iter(("input_ids", "attention_mask", "labels"))

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in tuple(self.keys()):
            raise KeyError(name)
        tensor: torch.Tensor = getattr(self, name)
        return tensor

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on a device."""
        return Batch(self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device))


def pad_id_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id to pad with: the pad token, else EOS. Labels of padding are -100, so either may be used.

    Raises:
        ModelError: The tokenizer has neither.
    """
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if pad_id is None:
        raise ModelError(
            "The tokenizer of the base model has neither a pad nor an end-of-sequence token. "
            "Name an eos_token in its tokenizer_config.json."
        )
    return int(pad_id)


def epoch_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int, group_by_length: bool
) -> list[list[int]]:
    """Return the batches of one epoch: every index once, in an order that ``seed`` and ``epoch`` decide.

    With ``group_by_length`` a random order is cut into windows, each window is sorted by length and cut into batches,
    and the order of the batches is shuffled. Only the last batch may be short.
    """
    random = Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    random.shuffle(order)
    if not group_by_length:
        return _cut(order, batch_size)
    batches = [
        batch
        for window in _cut(order, WINDOW_BATCHES * batch_size)
        for batch in _cut(sorted(window, key=lambda index: lengths[index]), batch_size)
    ]
    short = [batches.pop()] if batches and len(batches[-1]) < batch_size else []
    random.shuffle(batches)
    return batches + short


def micro_batches(batch: list[int], lengths: Sequence[int], micro_batch_size: int) -> list[list[int]]:
    """Return a batch in parts of at most ``micro_batch_size``, the longest examples first.

    The part that needs the most memory comes first, so that a size that does not fit fails at once.
    """
    return _cut(sorted(batch, key=lambda index: (-lengths[index], index)), micro_batch_size)


def collate(examples: Sequence[TokenisedExample], pad_id: int) -> Batch:
    """Pad examples to the right, to the longest of them, and stack.

    Args:
        examples: B of them.
        pad_id: Fills ``input_ids``; the attention mask there is 0, the labels are -100.

    Raises:
        DataError: ``examples`` is empty.
    """
    if not examples:
        raise DataError("A batch needs at least one example.")
    shape = (len(examples), max(len(example.input_ids) for example in examples))
    batch = Batch(
        input_ids=torch.full(shape, pad_id, dtype=torch.int64),
        attention_mask=torch.zeros(shape, dtype=torch.int64),
        labels=torch.full((len(examples), max(len(example.labels) for example in examples)), NOT_TRAINED),
    )
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        batch.input_ids[row, :length] = torch.tensor(example.input_ids)
        batch.attention_mask[row, :length] = 1
        batch.labels[row, : len(example.labels)] = torch.tensor(example.labels)
    return batch


def _cut(indices: list[int], size: int) -> list[list[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
