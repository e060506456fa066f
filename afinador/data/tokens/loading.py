"""A data set as tokens: taken from the cache, or read, tokenised and kept there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.data.extraction import Extraction
from afinador.data.shapes import Example
from afinador.data.tokens.cache import Cached, TokenCache, identity_of, key_of
from afinador.data.tokens.prompting import Following, Summary, asked_by
from afinador.data.tokens.rows import TokenRows, batches_of
from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.data.tokens.tokenising import Tokenise, processes_for, tokenised
from afinador.data.validation import load_examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.config.spec import DataFile


@dataclass(frozen=True)
class Tokens:
    """The tokens of a data set, and what there is to know of its examples besides.

    Attributes:
        rows: In the order of the examples; a long text is several pieces.
        cached: How the cache has served; None where there is none.
    """

    rows: TokenRows
    summary: Summary
    cached: Cached | None


def load_tokens(
    file: DataFile,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    classes: tuple[str, ...] = (),
    *,
    extraction: Extraction,
    cache: TokenCache | None = None,
) -> Tokens:
    """Read and tokenise a data set by several processes if it is large; what ``cache`` has is neither read nor rendered.

    Args:
        file: With its local path.
        tokenizer: As it will be used.
        max_length: Most tokens of one example.
        classes: By their ids; none unless texts are classified.
        extraction: How documents are asked for.
        cache: Keeps what was made.

    Raises:
        DataError: A record cannot be used, or there are none.
        ModelError: The tokenizer has no end-of-sequence token, and needs one.
    """
    passing = Following(())

    def tokenise() -> Iterator[TokenisedExample]:
        nonlocal passing
        passing = Following(examples_of(file, extraction))
        return tokenised(passing, Tokenise(tokenizer, max_length, classes), processes_for(file.bytes))

    data = {**identity_of(file), "extraction": asdict(extraction)}
    key = key_of(data, tokenizer, max_length, classes) if cache else None
    if cache is None or key is None:
        rows = TokenRows(batches_of(tokenise()))
        return Tokens(rows, passing.summary(), None)
    cached = cache.get_or_make(key, tokenise, lambda: asdict(passing.summary()))
    return Tokens(cached.tokenised, Summary(**cached.summary), cached)


def examples_of(file: DataFile, extraction: Extraction) -> Iterator[Example]:
    """Read the examples of a data set, documents as they are asked for.

    Raises:
        DataError: A record cannot be used, or there are none.
    """
    return asked_by(load_examples(Path(file.path), file.format, file.reading), extraction)
