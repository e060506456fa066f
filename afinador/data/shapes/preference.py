"""``{"chosen", "rejected"}``, mostly with ``prompt``: two answers, the better and the worse one, as TRL writes them.

All are texts, or all are lists of messages (a text as the prompt of messages is the user's). Without a prompt both begin
with it: conversations with the same messages, texts with the same words. Pairs are checked and stored. Training on them
comes later, and a job that names such a file is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from afinador.data.blanks import is_blank
from afinador.data.messages import KEYS, role_of
from afinador.data.records import Problem, Record
from afinador.data.shapes.answer_pairs import (
    SAME_ANSWERS,
    AnswerPair,
    faults_of_whole,
    meaning_of,
    normal_pair,
)
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape, near_miss_of, unusable_texts
from afinador.data.tool_calls import checked_tools, parsed_tools

_NAMES = ("prompt", "chosen", "rejected")
_ANSWER_OF_TEXT = "\n\nAssistant:"
"""Begins an answer in dialogues that are written as one text."""


def _read(record: Record) -> Reading:
    fields = record.fields
    if not any(isinstance(fields.get(name), list) for name in _NAMES):
        return (yield from _read_texts(record))
    if "prompt" not in fields and not all(isinstance(fields[name], list) and fields[name] for name in _NAMES[1:]):
        yield from _faults_of_answers(record)
        return None
    try:
        pair = _pair(fields)
    except _UnclearPromptError as error:
        yield record.problem(error.code, str(error), error.field)
        yield from _faults_of_answers(record)
        return None
    return (yield from pair.read(record))


def _faults_of_answers(record: Record) -> Iterator[Problem]:
    """Yield what is wrong with two lists of messages, or what should be some, whatever they answer."""
    fields = record.fields
    for name in _NAMES[1:]:
        yield from faults_of_whole(record, fields[name], name)
    messages = [each for name in _NAMES[1:] if isinstance(fields[name], list) for each in fields[name]]
    yield from checked_tools(record, fields.get("tools"), messages)


def _read_texts(record: Record) -> Reading:
    has_prompt = "prompt" in record.fields
    yield from unusable_texts(record, *(_NAMES if has_prompt else _NAMES[1:]))
    tools = yield from checked_tools(record, record.fields.get("tools"), ())
    chosen, rejected = record.fields["chosen"], record.fields["rejected"]
    if not isinstance(chosen, str) or not isinstance(rejected, str) or is_blank(chosen):
        return None
    if chosen.strip() == rejected.strip():
        said = "'chosen' and 'rejected' are the same. Correct one of them, or remove the record."
        yield record.problem(SAME_ANSWERS, said, "rejected")
    elif not has_prompt:
        length = _length_of_prompt(chosen, rejected)
        if chosen[:length].strip():
            return Example(
                record.line, prompt=chosen[:length], completion=chosen[length:], rejected=rejected[length:], tools=tools
            )
        said = (
            "there is no 'prompt', and 'chosen' and 'rejected' do not begin with the same words, so that nothing "
            f"says what they answer.{near_miss_of(fields_but(record), ['prompt'])} {_remedy_of_missing_prompt(record)}"
        )
        yield record.problem("missing_field", said, "prompt")
    return Example(record.line, prompt=record.fields.get("prompt"), completion=chosen, rejected=rejected, tools=tools)


def _remedy_of_missing_prompt(record: Record) -> str:
    """Say how a prompt comes by; of the instructions of LLaMA-Factory's pairs, and their inputs if there are any."""
    if not isinstance(record.fields.get("instruction"), str):
        return "Add it, or remove the record."
    given = record.fields.get("input")
    prompt = "{instruction}\n{input}" if isinstance(given, str) and not is_blank(given) else "instruction"
    mapping = json.dumps({"prompt": prompt, "chosen": "chosen", "rejected": "rejected"})
    return (
        f"If the instruction is the prompt, name it by a mapping (option --mapping, or reading.mapping): '{mapping}'."
    )


def fields_but(record: Record) -> list[str]:
    """Return the names of the fields that are none of this shape."""
    return [name for name in record.fields if name not in (*_NAMES, "tools")]


def _length_of_prompt(chosen: str, rejected: str) -> int:
    """Return how much of two texts is the same, up to an answer or else to the end of a word."""
    pairs = enumerate(zip(chosen, rejected, strict=False))
    same = chosen[: next((place for place, (one, other) in pairs if one != other), min(len(chosen), len(rejected)))]
    answer = same.rfind(_ANSWER_OF_TEXT)
    if answer >= 0:
        return answer + len(_ANSWER_OF_TEXT)
    words = same.rstrip() if same[-1:].isspace() else same[: len(same) - len(same.split()[-1])] if same.strip() else ""
    return len(words.rstrip())


class _UnclearPromptError(ValueError):
    """What a pair in messages answers cannot be told; the sentence says why."""

    def __init__(self, code: str, said: str, field: str = "prompt") -> None:
        super().__init__(said)
        self.code = code
        self.field = field


def _pair(fields: Fields) -> AnswerPair:
    """Return a pair in messages, what both answers begin with as the prompt where there is none.

    Raises:
        _UnclearPromptError: There is neither a prompt nor a common beginning, or both, and they differ, or both answers are
            the same and nothing is before them.
    """
    chosen: Any = fields.get("chosen")
    rejected: Any = fields.get("rejected")
    prompt = fields.get("prompt")
    is_in_answers = isinstance(prompt, str) and _begins_with_prompt(chosen) and _begins_with_prompt(rejected)
    if "prompt" in fields and not is_in_answers:
        asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return AnswerPair(asked, chosen, rejected, _NAMES, fields.get("tools"))
    same = _same_messages(chosen, rejected)
    texts = [each["content"].strip() for each in same if isinstance(each.get("content"), str)]
    if isinstance(prompt, str) and prompt.strip() not in texts:
        said = "'prompt' is text that no message has with which both answers begin. Leave it out, or correct it."
        raise _UnclearPromptError("two_prompts", said)
    while same and same[-1].get("role") == "assistant":  # of equal conversations, the answers are told to be equal
        same.pop()
    length = len(same)
    if not same and chosen == rejected:
        said = "'chosen' and 'rejected' are the same, and no question is before them. Correct one of them and add a 'prompt', or remove the record."
        raise _UnclearPromptError(SAME_ANSWERS, said, "rejected")
    if not same:
        said = "there is no 'prompt', and 'chosen' and 'rejected' do not begin with the same question. Add it, or remove the record."
        raise _UnclearPromptError("missing_field", said)
    names = ("chosen", *_NAMES[1:])
    return AnswerPair(same, chosen[length:], rejected[length:], names, fields.get("tools"), length_within=length)


def _begins_with_prompt(answer: Any) -> bool:
    """Tell whether the first message is a sound one, and of somebody else than the assistant."""
    first: Any = answer[0] if isinstance(answer, list) and answer else None
    return role_of(first) not in (None, "assistant") and isinstance(first.get("content"), str)


def _same_messages(chosen: list[Any], rejected: list[Any]) -> list[Any]:
    same: list[Any] = []
    for one, other in zip(chosen, rejected, strict=False):
        if one != other or not isinstance(one, dict):
            break
        same.append(one)
    return same


def _to_pair(fields: Fields) -> Fields:
    if any(isinstance(fields.get(name), list) for name in _NAMES):
        pair = _pair(fields)
        return meaning_of(pair.prompt, pair.chosen, pair.rejected, parsed_tools(pair.tools))
    if "prompt" not in fields:
        raise ValueError("texts without a prompt of their own")
    asked, *answers = (fields[name] for name in _NAMES)
    chosen, rejected = ([{"role": "assistant", "content": text}] for text in answers)
    return meaning_of([{"role": "user", "content": asked}], chosen, rejected, parsed_tools(fields.get("tools")))


def _from_pair(pair: Fields) -> Fields:
    texts = {name: _text_of(pair[name], "user" if name == "prompt" else "assistant") for name in _NAMES}
    return dict(pair) if None in texts.values() or "tools" in pair else texts


def _message_at(fields: Fields, index: int) -> str:
    prompt = fields.get("prompt")
    if isinstance(prompt, str):
        prompt = [] if _begins_with_prompt(fields["chosen"]) else [prompt]
        return f"chosen[{index - len(prompt)}]"
    length = len(prompt or ())
    return f"prompt[{index}]" if index < length else f"chosen[{index - length}]"


def _normal(fields: Fields) -> Fields:
    return normal_pair(_to_pair(fields))


def _text_of(messages: list[Any], role: str) -> str | None:
    """Return the text of one message of a role that has nothing else; None of any others."""
    one = messages[0]
    is_text = len(messages) == 1 and one.keys() == {"role", "content"} and isinstance(one["content"], str)
    return one["content"] if is_text and one["role"] == role else None


SHAPE = RecordShape(
    name="preference",
    fields=("chosen", "rejected"),
    optional=("prompt", "tools"),
    description="A better and a worse answer to a prompt, texts or lists of messages, as TRL writes them; without `prompt` "
    "both begin with it. Checked and stored, not trained on yet.",
    tasks=(),
    read=_read,
    in_table=True,
    turn_keys=KEYS,
    asked=("prompt",),
    is_pair=True,
    message_at=_message_at,
    to_messages=_to_pair,
    from_messages=_from_pair,
    normal=_normal,
    instead="rename 'chosen' to 'completion' and remove 'rejected'; where they are messages, put those of 'prompt' and "
    "'chosen' into one list 'messages'",
)
