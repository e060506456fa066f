"""How the special tokens of a tokenizer are written, looked up once and not for each record: some have hundreds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class SpecialTokens:
    """Special tokens as text.

    Attributes:
        texts: The longest first.
        pattern: Finds any of them.
    """

    texts: tuple[str, ...]
    pattern: re.Pattern[str]


_known: WeakKeyDictionary[Any, tuple[tuple[Any, ...], SpecialTokens]] = WeakKeyDictionary()


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    """Return the special tokens of a tokenizer, which gets no further ones but by their names (BOS, EOS, pad)."""
    state = tuple(tokenizer.all_special_tokens)
    found = _known.get(tokenizer)
    if found is None or found[0] != state:
        added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        texts = tuple(sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True))
        found = state, SpecialTokens(texts, pattern_of(texts))
        _known[tokenizer] = found
    return found[1]


def pattern_of(texts: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds any of some texts; of none, nothing."""
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")
