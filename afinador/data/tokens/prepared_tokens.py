"""An example as rows of token ids, to be written down and trained on elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from afinador.data.labels import class_of
from afinador.data.tokens.classified import text_to_classify
from afinador.data.tokens.tokenisation import tokenise_all
from afinador.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example
    from afinador.data.tokens.checks import Limits


def token_rows(example: Example, tokenizer: PreTrainedTokenizerBase, limits: Limits) -> list[dict[str, Any]]:
    """Return ``input_ids`` and ``labels`` as training has them, and how many tokens were ``cut``; of a text its pieces.

    Of a text to be classified there is its ``label`` by name: which number a class has is known with all of them only.

    Raises:
        DataError: It cannot be written with the chat template, or no token is left.
    """
    if limits.task == "sequence_classification":
        if example.prompt is None or example.completion is None:
            raise DataError(
                f"Record at line {example.line} has no text and label, which is what a classifier learns. Convert the "
                "records first, or name the task causal_lm."
            )
        whole, kept = text_to_classify(example, tokenizer, limits.usable_length)
        return [{"input_ids": kept, "label": class_of(example.completion), "cut": len(whole) - len(kept)}]
    pieces = tokenise_all([example], tokenizer, limits.usable_length)
    return [{"input_ids": piece.input_ids, "labels": piece.labels, "cut": piece.cut_tokens} for piece in pieces]
