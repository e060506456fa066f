"""Makes the reference of preparations of the code: steps with their keys, the grammar of conditions, conversions of shapes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from afinador.data.preparation import STEPS, expressions
from afinador.data.preparation.passage import BYTES_WORTH_A_START
from afinador.data.shapes import SHAPES, convertible_to

EXAMPLE = """\
```yaml
steps:
  - {type: filter, condition: "length > 10 and language == 'es'"}
  - {type: transform, operation: replace, pattern: "<<[^<>]*>>"}
  - {type: deduplicate, near: 0.85}
  - {type: convert, to: messages}
  - {type: split, validation: 0.1}
  - {type: augment, rate: 0.05}
```

```sh
afinador prepare dataset letters.csv --pipeline steps.yaml --output letters.jsonl   # here, without a service
afinador prepare dataset file-7f3a19c2 --pipeline steps.yaml                        # a file of the service
afinador cancel preparation preparation_7f3a19c2                                    # `list` and `get` show those of the service
```"""

CONVERSATIONS = {"messages", "sharegpt"}
_ONE_TURN = " (only one message of the user and one answer: no system text, no more turns, no tools)"
_ANSWERS_AT_END = " (only answers at the end, no tools)"
OF_CONVERSATIONS = {
    "messages": " (only records without names, the role developer and calls of tools: a turn has no place for the ids of these)"
}
WHERE = {"messages": _ONE_TURN, "sharegpt": _ONE_TURN, "alpaca": " (only records whose `input` is empty or missing)"}
FLATTENED = {
    "messages": "calls of tools (one a message, without text beside it), whose ids are lost, in sharegpt; such messages with a name, further keys "
    "and, but for sharegpt, a weight or tools, which are lost; the role developer becomes system",
    "sharegpt": "turns with further keys, and where the shape has none with a weight, which are lost",
    "alpaca": "records with an `input`, which is joined with the instruction",
}


def preparation() -> Iterator[str]:
    """Yield the lines of the reference."""
    yield from ("# Preparing data sets", "")
    yield "Steps are declared in YAML or JSON and taken in their order; for each it is told how many rows came, went on and were changed."
    yield "Behind a `split` a step may have `only: train` (`augment` has it always). What is made is a new file, which knows its source; nothing is written"
    yield "over: where a file is already that would be written (the output, its parts, its lineage), nothing is done, unless with `--overwrite`."
    yield from ("", EXAMPLE, "")
    yield 'The same in Python: `client.prepare_dataset(Path("letters.csv"), steps)` at a service, `prepare_dataset` of'
    yield "[`afinador.fine_tuning`](python.md#jobs-on-this-machine-without-a-service) here; over REST `POST /datasets/prepare`. Records go through one at a"
    yield "time; what a step has to put aside lies in temporary files (`TMPDIR`), up to three times the data set. In memory are held only: hashes of"
    yield "records (`deduplicate`, `split`), of a `shuffle` 16 MB at a time, the documents of `raft`, of which there may be so many only."
    yield ""
    by_row = [f"`{kind.name}`" for kind in STEPS.values() if kind.is_by_row]
    yield f"Of a file of {BYTES_WORTH_A_START >> 20} MB or more several processes take the first steps, as far as they are {', '.join(by_row[:-1])} or {by_row[-1]}"
    yield "and count no tokens: as many as there are processors (`OMP_NUM_THREADS` sets another number), four at most. So such steps are best put first. JSON Lines"
    yield "in UTF-8 gain the most, for these they read and write, too. The result is the same, however many there are; small files start none."
    yield ""
    yield "A pipeline file holds `steps:` with the list, or the bare list. The service checks what it has made as it checks an upload; a file that cannot"
    yield "be trained on is kept and named, and the command then returns 1."
    yield from ("", *_refused(), "")
    yield "`tokens` in conditions and the step `tokenize` need a base model: `--base-model FOLDER` here, a registered one in the service (`base_model`"
    yield "of the request, `--base-model NAME`). Its tokenizer suffices; no weights are loaded."
    yield ""
    yield "What JSON has no form of is brought into one before the first step: dates and times are texts of ISO 8601 (`2024-01-02T03:04:05`), decimals"
    yield "exact texts (`1.50`). Bytes and durations have none: `remove` such fields, or the preparation is refused where they would be written; so it is"
    yield "with NaN and infinities, unless it writes Parquet or Arrow."
    yield from ("", "## Steps", "")
    for kind in STEPS.values():
        yield from (f"### {kind.name}", "", kind.description, "", "| key | |", "|---|---|")
        yield from (f"| `{key}` | {meaning.replace('|', chr(92) + '|')} |" for key, meaning in kind.keys.items())
        yield ""
    yield from ("## Conditions", "", *_grammar(), "")
    yield from ("## Conversions of shapes", "", *_conversions())


def _refused() -> Iterator[str]:
    yield "A record that a step cannot take, or a line that cannot be read, ends the preparation; nothing is written. The data set is looked through to"
    yield "its end then, for lines that cannot be read and for what the first steps (those that several processes could share, and `drop_invalid`) would refuse: the refusal"
    yield "tells how many records are bad, with the first ten of each kind. `afinador validate dataset` shows all that forbids training. To go on without"
    yield "such records says the step `drop_invalid`. Where no record is left, the refusal names the step that left out the last ones and tells, as of what"
    yield "was made, what each step did."


def _conversions() -> Iterator[str]:
    yield "Without `flatten` a record is converted only if it comes back with the same meaning; what has no place in the other shape is refused by its"
    yield 'name. What comes back with the same meaning and written otherwise is converted, and counted: labels that are no text become text (`1` `"1"`,'
    yield '`true` `"true"`); of ShareGPT speakers become `human` and `gpt`, a `system` the first turn, calls JSON without needless spaces, `tools` a list of'
    yield 'OpenAI\'s objects (`{"type": "function", "function": …}`) where they were a JSON text (in messages, too) or bare functions; an `input` that is missing becomes `""`;'
    yield "what is null in messages is left out. A conversation of which answers are learnt at its end alone (those before have the weight 0) becomes"
    yield "`prompt_completion`: two texts where it is one question and one answer, else two lists of messages, which the shapes of texts have no place for."
    yield from ("", "| shape | can become | with `flatten: true` also |", "|---|---|---|")
    for name in SHAPES:
        exact, flat = convertible_to(name), convertible_to(name, flatten=True)
        more = [other for other in flat if other not in exact]
        whole = [other for other in exact if {name, other} <= CONVERSATIONS]
        rest = [other for other in exact if other not in whole]
        told = [", ".join(whole) + OF_CONVERSATIONS.get(name, "")] if whole else []
        if name in CONVERSATIONS:
            rest.remove("prompt_completion")
            told.append(f"prompt_completion{_ANSWERS_AT_END}")
        if rest:
            told.append(", ".join(rest) + WHERE.get(name, ""))
        yield f"| {name} | {'; '.join(told) or '—'} | {', '.join(more) or FLATTENED.get(name, '—')} |"


def _grammar() -> Iterator[str]:
    """Yield the grammar of conditions from where it is told to programmers."""
    told = inspect.cleandoc(expressions.__doc__ or "")
    introduction, rest = told.split("::\n", 1)
    block, explained = rest.split("\n\n``length``")
    yield introduction.replace("``", "`").strip()
    yield from ("", "```", inspect.cleandoc(block), "```", "")
    yield f"`length`{explained.replace('``', '`')}"
