"""Which examples go together, and how they become tensors.

Batches hold examples of similar length, so that little of them is padding. Dimensions: B examples, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch

from afinador.data.tokens.tokenisation import NOT_TRAINED, TokenisedExample
from afinador.errors import DataError, ModelError
from afinador.figures import counted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WINDOW_BATCHES = 32
"""Examples are sorted by length within a window of so many batches: enough to save padding, few enough to stay mixed."""


@dataclass
class Batch:
    """Int64 tensors of shape (B, T), also readable as a mapping: ``model(**batch)``.

    Attributes:
        labels: (B, 1) where each example has one label, its class.
        position_ids: Where rows hold several examples: places within each example, beginning with 0. None elsewhere.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    position_ids: torch.Tensor | None = None

    def keys(self) -> Iterator[str]:
        """Return the names of the tensors that are there."""
        yield from ("input_ids", "attention_mask", "labels")
        if self.position_ids is not None:
            yield "position_ids"

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in tuple(self.keys()):
            raise KeyError(name)
        tensor: torch.Tensor = getattr(self, name)
        return tensor

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on a device."""
        return Batch(**{name: self[name].to(device) for name in self.keys()})


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


class BatchOrder:
    """The batches of all epochs: one for each optimizer step, in an order that the seed decides.

    Args:
        lengths: Tokens of each example.
        batch_size: Examples of one step.
        epochs: How often each example comes.
        seed: Of the order.
        group_by_length: See ``epoch_batches``.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, *, epochs: int, seed: int, group_by_length: bool
    ) -> None:
        self._lengths, self._batch_size, self._epochs = lengths, batch_size, epochs
        self._seed, self._group_by_length = seed, group_by_length
        self._current: tuple[int, list[list[int]]] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return -(-len(self._lengths) // self._batch_size)

    @property
    def steps(self) -> int:
        """Optimizer steps of all epochs."""
        return self._epochs * self.steps_per_epoch

    def after(self, steps_done: int) -> Iterator[list[int]]:
        """Yield the batches that are still to come after so many steps."""
        for step in range(steps_done, self.steps):
            epoch, position = divmod(step, self.steps_per_epoch)
            yield self._batches(epoch)[position]

    def order_after(self, steps_done: int) -> list[int]:
        """Return all examples of the epoch that the next step belongs to, in their order; none after the last step."""
        if steps_done >= self.steps:
            return []
        return [index for batch in self._batches(steps_done // self.steps_per_epoch) for index in batch]

    def keep_order(self, steps_done: int, order: list[int]) -> None:
        """Take the order of the epoch that the next step belongs to from a checkpoint.

        Raises:
            DataError: It is no order of these examples.
        """
        if steps_done >= self.steps:
            return
        if sorted(order) != list(range(len(self._lengths))):
            raise DataError(
                f"The checkpoint was made on {counted(len(order), 'example')}; the data set gives {len(self._lengths)}. "
                "A run goes on with the data that it began with alone: give it the same, or start a new one."
            )
        self._current = (steps_done // self.steps_per_epoch, _cut(order, self._batch_size))

    def _batches(self, epoch: int) -> list[list[int]]:
        if self._current is None or self._current[0] != epoch:
            batches = epoch_batches(
                self._lengths, self._batch_size, seed=self._seed, epoch=epoch, group_by_length=self._group_by_length
            )
            self._current = (epoch, batches)
        return self._current[1]


def forward_passes(
    examples: Sequence[TokenisedExample], batch: list[int], pad_id: int, *, rows: int, row_tokens: int | None = None
) -> Iterator[Batch]:
    """Cut a batch into parts that go through the model at once.

    Args:
        examples: All examples, of which ``batch`` names some.
        batch: Indices of one optimizer step.
        pad_id: See ``collate``.
        rows: Rows of one part.
        row_tokens: Put as many examples into one row as fit into so many tokens; None: one each.
    """
    lengths = {index: len(examples[index].input_ids) for index in batch}
    if row_tokens is None:
        for part in micro_batches(batch, lengths, rows):
            yield collate([examples[index] for index in part], pad_id)
        return
    packed = packed_rows(batch, lengths, row_tokens)
    for start in range(0, len(packed), rows):
        yield collate_packed([[examples[index] for index in row] for row in packed[start : start + rows]], pad_id)


def packed_rows(batch: list[int], lengths: Mapping[int, int], row_tokens: int) -> list[list[int]]:
    """Fill rows of at most ``row_tokens`` tokens: the longest examples first, each into the first row it fits into."""
    packed: list[list[int]] = []
    room: list[int] = []
    for index in sorted(batch, key=lambda index: (-lengths[index], index)):
        row = next((row for row, left in enumerate(room) if left >= lengths[index]), len(packed))
        if row == len(packed):
            packed.append([])
            room.append(row_tokens)
        packed[row].append(index)
        room[row] -= lengths[index]
    return packed


def micro_batches(
    batch: list[int], lengths: Sequence[int] | Mapping[int, int], micro_batch_size: int
) -> list[list[int]]:
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


def collate_packed(rows: Sequence[Sequence[TokenisedExample]], pad_id: int) -> Batch:
    """Put the examples of each row one behind the other, and pad the rows to the longest.

    ``position_ids`` begin with 0 at each example, from which the model derives that none sees another; padding counts
    as one more example. The first label of an example is never learnt, so nothing is predicted across a border.

    Args:
        rows: B of them, each with at least one example.
        pad_id: See ``collate``.
    """
    joined = [
        TokenisedExample(
            [token for example in row for token in example.input_ids],
            [label for example in row for label in example.labels],
        )
        for row in rows
    ]
    batch = collate(joined, pad_id)
    batch.position_ids = torch.zeros_like(batch.input_ids)
    width = batch.input_ids.shape[1]
    for place, row in enumerate(rows):
        lengths = [len(example.input_ids) for example in row]
        lengths.append(width - sum(lengths))
        batch.position_ids[place] = torch.cat([torch.arange(length) for length in lengths])
    return batch


def _cut(indices: list[int], size: int) -> list[list[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
