"""Token ids of pieces of text that will stand one after the other, with nothing added at the borders.

SentencePiece tokenizers put a space before every text they are given, so that pieces encoded on their own decode to
more spaces than were written. Here a piece that goes on after another is encoded behind a character that is then cut
off again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afinador.data.shapes import Example
from afinador.errors import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_CHARACTERS = 10_000_000
"""Of one record; tokenizers take some hundred bytes of memory for each."""
_ANCHORS = (":", "\n", "a", "0")


def require_length(example: Example) -> None:
    """Do nothing if a record is short enough to be tokenised.

    Raises:
        DataError: It is not.
    """
    texts = [example.prompt, example.completion, example.text, *(each["content"] for each in example.messages or ())]
    characters = sum(len(text) for text in texts if isinstance(text, str))
    if characters > MOST_CHARACTERS:
        raise DataError(
            f"Record at line {example.line} has {characters:,} characters; at most {MOST_CHARACTERS:,} of one record are "
            "tokenised. Part it into several records."
        )


def end_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id that ends an answer.

    Raises:
        ModelError: The tokenizer has no end-of-sequence token.
    """
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "The tokenizer of the base model has no end-of-sequence token, so answers could never end. "
            "Name one as eos_token in its tokenizer_config.json."
        )
    return int(tokenizer.eos_token_id)


def head_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return what the tokenizer puts before a text of its own accord: a BOS, or nothing."""
    bare = text_ids(tokenizer, "a", literal=True, continues=False)
    with_special = tokenizer("a", add_special_tokens=True, verbose=False)["input_ids"]
    start = next((at for at in range(len(with_special)) if with_special[at : at + len(bare)] == bare), 0)
    return list(with_special[:start])


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str, *, literal: bool, continues: bool) -> list[int]:
    """Return the ids of a piece of text; no special token is added.

    Args:
        tokenizer: Of the base model.
        text: The piece, spaces at its ends included.
        literal: What looks like a special token (``</s>``) is text, as the contents of a data set are.
        continues: Another piece stands before it.
    """
    alone = _plain_ids(tokenizer, text, literal)
    if not continues or not alone or not _begins_with_added_space(tokenizer, alone[0], text):
        return alone
    for anchor in _ANCHORS:
        before = _plain_ids(tokenizer, anchor, literal)
        both = _plain_ids(tokenizer, anchor + text, literal)
        if before and tokenizer.unk_token_id not in before and both[: len(before)] == before:
            return both[len(before) :]
    return alone


def _plain_ids(tokenizer: PreTrainedTokenizerBase, text: str, literal: bool) -> list[int]:
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=literal, verbose=False)
    return list(encoded["input_ids"])


def _begins_with_added_space(tokenizer: PreTrainedTokenizerBase, first_id: int, text: str) -> bool:
    """Whether the first token may hold a space that the text has not: ▁ of SentencePiece, Ġ of byte-level BPE."""
    first = str(tokenizer.convert_ids_to_tokens(first_id))
    return first.startswith("▁") or (first.startswith("Ġ") and not text.startswith(" "))
