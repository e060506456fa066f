"""``{"prompt", "completion"}``: a question and its answer, two texts, or two lists of messages as TRL writes them.

The prompt may be an empty text. In messages those of the completion begin with the assistant's, and none of the prompt is
learnt; a text beside messages is the user's, or the assistant's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from afinador.data.messages import KEYS, role_of
from afinador.data.records import Problem, Record
from afinador.data.shapes.answer_pairs import read_answer, read_prompt, without_nulls
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape, one_turn, unusable_texts

_NAMES = ("prompt", "completion")
_OF_ANSWERS = ("assistant", "tool")


def _read(record: Record) -> Reading:
    if not any(isinstance(record.fields[name], list) for name in _NAMES):
        yield from unusable_texts(record, "prompt", may_be_empty=True)
        yield from unusable_texts(record, "completion")
        return Example(record.line, prompt=record.fields["prompt"], completion=record.fields["completion"])
    texts = [name for name in _NAMES if isinstance(record.fields[name], str)]
    blank = list(unusable_texts(record, *texts))
    yield from blank
    instead = {each.field: "-" for each in blank if each.field}  # what else is wrong
    asked, answered = _in_messages({**record.fields, **instead})
    prompt = yield from read_prompt(record, asked, "prompt")
    yield from _learnt_prompts(record, asked)
    completion = yield from read_answer(record, answered, "completion", asked, prompt_name="prompt")
    if prompt is None or completion is None:
        return None
    return Example(record.line, messages=(*map(_not_learnt, prompt), *completion), prompt_messages=len(prompt))


def _in_messages(fields: Fields) -> tuple[Any, Any]:
    """Return prompt and completion, a text as the one message that it is."""
    given = zip(("user", "assistant"), (fields[name] for name in _NAMES), strict=True)
    asked, answered = ([{"role": role, "content": each}] if isinstance(each, str) else each for role, each in given)
    return asked, answered


def _learnt_prompts(record: Record, asked: Any) -> Iterator[Problem]:
    for index, each in enumerate(asked if isinstance(asked, list) else ()):
        if role_of(each) == "assistant" and each.get("weight") == 1:
            said = f"prompt[{index}].weight is 1, but nothing of a prompt is learnt. Remove it."
            yield record.problem("bad_weight", said, f"prompt[{index}].weight")


def _not_learnt(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "weight": 0} if message["role"] == "assistant" else message


def _message_at(fields: Fields, index: int) -> str:
    asked, _ = _in_messages(fields)
    return f"prompt[{index}]" if index < len(asked) else f"completion[{index - len(asked)}]"


def _to_messages(fields: Fields) -> Fields:
    if not any(isinstance(fields[name], list) for name in _NAMES):
        return one_turn(fields["prompt"], fields["completion"])
    asked, answered = map(without_nulls, _in_messages(fields))
    return {"messages": [*map(_not_learnt, asked), *answered]}


def _from_messages(fields: Fields) -> Fields:
    """Write one question and one answer as texts, and all else that is learnt at its end as messages.

    Raises:
        ValueError: Something is learnt before its end, or an answer there is not.
    """
    messages = fields["messages"]
    learnt = [index for index, each in enumerate(messages) if each["role"] == "assistant" and each.get("weight") != 0]
    asked, answered = messages[: learnt[0]], messages[learnt[0] :]
    other = next((index for index, each in enumerate(answered) if each["role"] not in _OF_ANSWERS), None)
    if other is not None:
        raise ValueError(
            f"messages[{learnt[0] + other}], which stands between answers that are learnt: it holds one answer"
        )
    texts = [_text_of(part, role) for part, role in ((asked, "user"), (answered, "assistant"))]
    if None not in texts:
        return dict(zip(_NAMES, texts, strict=True))
    told = [{key: value for key, value in each.items() if key != "weight"} for each in asked]
    return {"prompt": told, "completion": answered}


def _text_of(messages: list[dict[str, Any]], role: str) -> str | None:
    """Return the text of one message that has nothing else; None of others."""
    is_text = (
        len(messages) == 1 and messages[0].keys() == {"role", "content"} and isinstance(messages[0]["content"], str)
    )
    return messages[0]["content"] if is_text and messages[0]["role"] == role else None


def _normal(fields: Fields) -> Fields:
    others = {name: value for name, value in fields.items() if name not in _NAMES}
    return others | _from_messages(_to_messages(fields))


SHAPE = RecordShape(
    name="prompt_completion",
    fields=_NAMES,
    description="A prompt and its completion, texts or lists of messages, as TRL writes them: the completion is learnt, given "
    "the prompt.",
    read=_read,
    in_table=True,
    turn_keys=KEYS,
    asked=("prompt",),
    to_messages=_to_messages,
    from_messages=_from_messages,
    normal=_normal,
    message_at=_message_at,
)
