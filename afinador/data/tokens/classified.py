"""Texts with the class that each belongs to, as token ids; and how a trained classifier is asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afinador.data.labels import class_of
from afinador.data.quoting import shortened
from afinador.data.tokens.encoding import require_length
from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example

TEXT_AS_IT_IS = "text"
"""Name of the template of classifiers: the text alone, with what the tokenizer puts around it."""


def tokenise_classified(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, max_length: int, classes: Sequence[str]
) -> Iterator[TokenisedExample]:
    """Yield texts as tokens, in their order, each with its class as its only label.

    The ids are those that the tokenizer gives of its own accord, as when the classifier is used. A text with more than
    ``max_length`` tokens loses its end; special tokens stay.

    Raises:
        DataError: A label that is none of the classes.
    """
    ids = {name: number for number, name in enumerate(classes)}
    for example in examples:
        name = class_of(example.completion or "")
        if name not in ids:
            raise DataError(f"Record at line {example.line} has the label {shortened(name)}, which is not trained.")
        whole, kept = text_to_classify(example, tokenizer, max_length)
        yield TokenisedExample(kept, [ids[name]], cut_after=len(whole) - len(kept))


def text_to_classify(
    example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[int], list[int]]:
    """Return the tokens of a text, and what is left of them within ``max_length``.

    Raises:
        DataError: There are none, or it is too long.
    """
    require_length(example)
    text = example.prompt or ""
    whole = list(tokenizer(text, verbose=False)["input_ids"])
    kept = whole
    if len(whole) > max_length:
        kept = list(tokenizer(text, truncation=True, max_length=max_length)["input_ids"])
    if not kept:
        raise DataError(f"The text at line {example.line} has no tokens. Write a text, or remove the record.")
    return whole, kept


@dataclass(frozen=True)
class ClassForm:
    """How a classifier is asked.

    Attributes:
        classes: By their ids.
        max_length: Tokens of a text that are looked at.
    """

    classes: tuple[str, ...]
    max_length: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, for ``afinador.json``."""
        return {"name": TEXT_AS_IT_IS, "max_length": self.max_length, "classes": list(self.classes)}

    def sentences(self) -> str:
        """Say it to people, in Markdown."""
        named = ", ".join(f"`{in_a_cell(name)}`" for name in self.classes)
        return (
            f"The model tells {len(self.classes)} classes apart: {named}. It is given the text alone; of a text with "
            f"more than {self.max_length} tokens it looks at the beginning."
        )

    def code(self) -> str:
        """Return Python that asks ``model`` and ``tokenizer`` for the class of a text and prints it."""
        text = json.dumps("Where is my order?")
        return (
            f'inputs = tokenizer({text}, truncation=True, max_length={self.max_length}, return_tensors="pt")\n'
            "print(model.config.id2label[int(model(**inputs).logits.argmax())])"
        )


def in_a_cell(name: str) -> str:
    """Return the name of a class as a table in Markdown can hold it."""
    return shortened(name)[1:-1].replace("`", "'").replace("|", "\\|")
