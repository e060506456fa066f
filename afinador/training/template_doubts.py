"""Says before training what the base model's chat template leaves out of the data."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from transformers import PreTrainedTokenizerBase

from afinador.data.tokens.left_out import LeftOut, left_out
from afinador.data.tokens.templates import render
from afinador.figures import counted
from afinador.training.data_sets import Data
from afinador.training.run_dir import RunDir

EXAMPLES_LOOKED_AT = 200
"""A template does the same with all; rendering so many takes less than a second, also where their tokens are cached."""


def doubt_template(data: Data, tokenizer: PreTrainedTokenizerBase, run_dir: RunDir) -> None:
    """Log a warning for each kind of text that the chat template leaves out of the first examples, or writes otherwise."""
    if data.template != "chat_template" or data.summary.kind == "text":
        return
    counts: Counter[str] = Counter()
    firsts: dict[str, tuple[int, LeftOut]] = {}
    for example in islice(data.examples(), EXAMPLES_LOOKED_AT):
        text = "".join(segment.text for segment in render(example, tokenizer))
        for found in left_out(example, text):
            counts[found.code] += 1
            firsts.setdefault(found.code, (example.line, found))
    looked_at = min(EXAMPLES_LOOKED_AT, data.summary.examples)
    for code, (line, found) in firsts.items():
        said = f"{counts[code]:,} of the first {counted(looked_at, 'record')} of {data.file.name}, at first that at line {line}"
        run_dir.log_event("message", "warn", f"{said}: {found.message}", code=code, examples=counts[code])
