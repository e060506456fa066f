"""Two answers to one conversation, as the shapes of preference pairs that are written in messages have them.

Prompts and answers are read here one by one, too: those of ``prompt_completion`` are none other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from afinador.data.messages import Messages, checked_messages
from afinador.data.quoting import described, named
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading
from afinador.data.tool_calls import checked_tools

SAME_ANSWERS = "same_answers"
_OF_AN_END = ("no_answer_at_end", "nothing_to_train")
"""Faults of a conversation that is to end with an answer, which a prompt is not."""
_OF_A_BEGINNING = ("no_question",)
_INDEX = re.compile(r"\[(-?\d+)\]")


@dataclass(frozen=True)
class AnswerPair:
    """What is asked, and a better and a worse answer, each as it stands there: what should be a list of messages.

    Attributes:
        names: What the record calls the three.
        length_within: How many messages of the prompt stand at the beginning of both answers, where the record has them
            instead of a prompt of its own; the prompt's name is that of the better answer then.
        tools: Declarations of functions, as they stand there.
        name_of_tools: What the record calls them.
    """

    prompt: Any
    chosen: Any
    rejected: Any
    names: tuple[str, str, str]
    tools: Any = None
    name_of_tools: str = "tools"
    length_within: int = 0

    def read(self, record: Record) -> Reading:
        """Yield all faults; return the pair in the form that checks take.

        They are those of the chat format, and answers that do not begin with the assistant or are the same.
        """
        prompt_name, *answer_names = self.names
        prompt = yield from read_prompt(record, self.prompt, prompt_name)
        answers = []
        for answer, name in zip((self.chosen, self.rejected), answer_names, strict=True):
            reading = read_answer(
                record, answer, name, self.prompt, prompt_name=prompt_name, length_within=self.length_within
            )
            answers.append((yield from reading))
        messages = [
            each for part in (self.prompt, self.chosen, self.rejected) if isinstance(part, list) for each in part
        ]
        tools = yield from checked_tools(record, self.tools, messages, name=self.name_of_tools)
        chosen, rejected = answers
        if prompt is None or chosen is None or rejected is None:
            return None
        told = [_told(answer) for answer in (chosen, rejected)]
        if told[0] == told[1]:
            said = f"{self.names[1]!r} and {self.names[2]!r} are the same. Correct one of them, or remove the record."
            yield record.problem(SAME_ANSWERS, said, self.names[2])
        prompt_messages = 0 if self.length_within else len(prompt)
        return Example(
            record.line, messages=(*prompt, *chosen), tools=tools, rejected=told[1], prompt_messages=prompt_messages
        )


def read_prompt(record: Record, prompt: Any, name: str) -> Generator[Problem, None, Messages | None]:
    """Yield all faults of what should be the messages that an answer is given to; return them where there is none."""
    if prompt == []:
        said = f"{name!r} is empty. Write at least a question, or remove the record."
        yield record.problem("bad_messages", said, name)
        return None
    if not isinstance(prompt, list):
        yield from faults_of_list(record, prompt, name)
        return None
    return (yield from _but(_OF_AN_END, checked_messages(record, prompt, name)))


def read_answer(
    record: Record, answer: Any, name: str, prompt: Any, *, prompt_name: str, length_within: int = 0
) -> Generator[Problem, None, Messages | None]:
    """Yield all faults of what should be an answer in messages; return them where there is none.

    Args:
        record: Whose answer it is.
        answer: Behind the prompt.
        name: What the record calls it.
        prompt: What it answers.
        prompt_name: What the record calls that.
        length_within: How many messages of the prompt stand at the beginning of the field ``name``.
    """
    if not isinstance(answer, list) or not answer:
        yield from faults_of_answer(record, answer, name)
        return None
    role = answer[0].get("role") if isinstance(answer[0], dict) else None
    is_asked = role in ("system", "developer", "user", "tool")
    if is_asked:
        field = f"{name}[{length_within}].role"
        before = "is the same in both answers" if length_within else f"stands in {prompt_name!r}"
        said = (
            f"{field} is {named(role)}; an answer begins with the assistant's message, and what comes before it "
            f"{before}. Correct it, or remove the record."
        )
        yield record.problem("bad_role", said, field)
        answer = [{**answer[0], "role": "assistant"}, *answer[1:]]  # what else is wrong with it
    asked = prompt if isinstance(prompt, list) else []
    messages, length = [*asked, *answer], len(asked)
    checked = checked_messages(record, messages, name, offset=length - length_within, told=range(length))
    found = yield from _but(_OF_A_BEGINNING, checked, first=length_within)
    return None if is_asked else found


def faults_of_whole(record: Record, messages: Any, name: str) -> Iterator[Problem]:
    """Yield the faults of an answer that may begin with its prompt, of which nobody knows where it ends."""
    if not isinstance(messages, list) or not messages:
        yield from faults_of_answer(record, messages, name)
    else:
        yield from _but(_OF_A_BEGINNING, checked_messages(record, messages, name))


def _but(
    codes: tuple[str, ...], faults: Generator[Problem, None, Messages], *, first: int = 0
) -> Generator[Problem, None, Messages | None]:
    """Yield faults but those of some codes, and those of messages before the first; return what they do where there is none."""
    are_none = True
    while True:
        try:
            fault = next(faults)
        except StopIteration as end:
            return end.value if are_none else None
        index = _INDEX.search(fault.field or "")
        if fault.code not in codes and (index is None or int(index[1]) >= first):
            are_none = False
            yield fault


def faults_of_list(record: Record, value: Any, name: str) -> Iterator[Problem]:
    """Yield the fault of what should be a list of messages and is none."""
    if not isinstance(value, list):
        said = f"{name!r} is {described(value)}, but must be a list of messages. Correct it, or remove the record."
        yield record.problem("wrong_type", said, name)


def faults_of_answer(record: Record, answer: Any, name: str) -> Iterator[Problem]:
    """Yield the fault of what should be the messages of an answer and is no list, or an empty one."""
    yield from faults_of_list(record, answer, name)
    if answer == []:
        found = "has no answer behind the prompt" if record.fields[name] else "is empty"
        yield record.problem("bad_messages", f"{name!r} {found}. Write the answer, or remove the record.", name)


def without_nulls(messages: list[Any]) -> list[Any]:
    """Return messages without what is null in them, as columns of a table have it."""
    return [{key: value for key, value in each.items() if value is not None} for each in messages]


def meaning_of(prompt: list[Any], chosen: list[Any], rejected: list[Any], tools: Any) -> Fields:
    """Return a pair as the fields by which one shape of pairs is brought into another."""
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **({"tools": tools} if tools else {})}


def normal_pair(pair: Fields) -> Fields:
    """Return the same without what is null in messages."""
    return {name: value if name == "tools" else without_nulls(value) for name, value in pair.items()}


def _told(answer: Messages) -> str:
    """Return all of an answer that tells it from another one."""
    said = [{**each, "content": each["content"].strip()} for each in answer]
    return json.dumps(said, ensure_ascii=False, sort_keys=True, default=str)
