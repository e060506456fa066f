"""Examples to token ids, by several processes where there are many: the same as by one, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afinador.data.checks.contents import parts_of
from afinador.data.processes import in_order, processors
from afinador.data.shapes import Example
from afinador.data.tokens.classified import tokenise_classified
from afinador.data.tokens.tokenisation import TokenisedExample, tokenise_all

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BYTES_WORTH_A_START = 16 * 2**20
"""A process needs some seconds until it knows the tokenizer; in that time one alone tokenises a few megabytes."""
EXAMPLES_IN_PART = 256
CHARACTERS_IN_PART = 2**18


@dataclass(frozen=True)
class Tokenise:
    """Makes tokens of examples, here or in another process.

    Attributes:
        tokenizer: Of the base model.
        max_length: Most tokens of one example.
        classes: By their ids; none unless texts are classified.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int
    classes: tuple[str, ...] = ()

    def __call__(self, examples: Iterable[Example]) -> list[TokenisedExample]:
        """Return the tokens of examples; errors as ``tokenise_all`` and ``tokenise_classified``."""
        if self.classes:
            return list(tokenise_classified(examples, self.tokenizer, self.max_length, self.classes))
        return list(tokenise_all(examples, self.tokenizer, self.max_length))


def processes_for(file_bytes: int) -> int:
    """Return how many processes are worth their start for a file; 1 means none but this one."""
    return 1 if file_bytes < BYTES_WORTH_A_START else processors()


def tokenised(examples: Iterable[Example], tokenise: Tokenise, processes: int) -> Iterator[TokenisedExample]:
    """Yield the tokens of examples in their order, of which only some are held at a time.

    Raises:
        DataError: See ``tokenise_all``.
        ModelError: See ``tokenise_all``.
    """
    for _, made in in_order(tokenise, _parts(examples), processes):
        yield from made


def _parts(examples: Iterable[Example]) -> Iterator[list[Example]]:
    part: list[Example] = []
    characters = 0
    for example in examples:
        part.append(example)
        characters += sum(map(len, parts_of(example)))
        if len(part) >= EXAMPLES_IN_PART or characters >= CHARACTERS_IN_PART:
            yield part
            part, characters = [], 0
    if part:
        yield part
