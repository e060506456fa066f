"""Writes the model card of the example base model."""

from pathlib import Path

CARD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# Small-world base model

A Llama-type language model of {parameters:,} parameters that knows the plain English of one small made-up world: people,
towns, trades, goods, days and prices. It exists so that a fine-tuning run can be shown, start to end, in well under a
minute on two CPU cores.

## How it was made

`python examples/base_model/pretrain.py` made all of it: the text (no outside data), the byte-level BPE tokenizer
({vocabulary_size} tokens, no chat template, no begin token added by itself) and the weights, which are saved as bfloat16.

| Setting | Value |
|---|---|
| Layers, heads, hidden size, intermediate size | {layers}, {heads}, {hidden_size}, {intermediate_size} |
| Context | 512 tokens |
| Training text | {tokens:,} tokens, drawn anew throughout |
| Steps, tokens per step | {steps}, {tokens_per_step} |
| Optimizer | AdamW, peak learning rate {learning_rate}, {warmup_steps} warm-up steps, linear decay |
| Seed | {seed} |

A few attention heads start from weights that look for an earlier mention of a word and copy what followed it
(`initial_weights.py`). In an earlier trial from random weights, at another batch size and learning rate and with fewer
word lists in the text, 2.56 million tokens were not enough: 2.5% of the questions were answered.

## Measured

| Figure | Value |
|---|---|
| Held-out perplexity per token, 300 fresh documents | {perplexity:.2f} |
| Questions about fresh stories answered exactly, 200 questions | {answered_share:.0%} |
| Training time, CPU threads used: {threads}; other work on the machine lengthens it | {training_seconds} s |

Names, numbers and days in the text are drawn by chance, which no model can foresee; that sets a floor to perplexity.

## What it is for, and what not

It is for demonstrations and tests of fine-tuning and serving. It knows nothing of the real world, follows no
instructions, and must not be used for anything that matters. The text it was trained on holds stories, questions with
answers, talks, lists and tallies; it holds no labelled records of the form `field: value | field: value`, which is what
the example data set teaches. The nearest to it is a sentence that lists customer, goods, town and day with commas.

## Licence

Apache-2.0.
"""


def write_model_card(folder: Path, settings: dict[str, float], figures: dict[str, float]) -> None:
    """Writes ``README.md`` into the model folder; settings and figures fill the places named in the card."""
    (folder / "README.md").write_text(CARD.format(**settings, **figures), encoding="utf-8")
