"""Two answers to one conversation, as the shapes of preference pairs that are written in messages have them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from afinador.data.messages import BadMessagesError, checked_messages, checked_tools
from afinador.data.quoting import described, named
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields

SAME_ANSWERS = "same_answers"
_PLACE = re.compile(r"messages\[(\d+)\]")


@dataclass(frozen=True)
class AnswerPair:
    """What is asked, and a better and a worse answer, all in messages.

    Attributes:
        names: What the record calls the three.
        tools: Declarations of functions, as they stand there.
    """

    prompt: list[Any]
    chosen: list[Any]
    rejected: list[Any]
    names: tuple[str, str, str]
    tools: Any = None

    def example(self, line: int) -> Example:
        """Return the pair in the form that checks take.

        Raises:
            BadMessagesError: Something in it is not as the chat format has it, an answer does not begin with the
                assistant, or both answers are the same.
        """
        asked, better, worse = self.names
        if not self.prompt:
            raise BadMessagesError(
                "bad_messages", f"{asked!r} is empty. Write at least a question, or remove the record.", asked
            )
        chosen = self._checked(self.chosen, better)
        rejected = self._checked(self.rejected, worse)
        answers = [_told(each[len(self.prompt) :]) for each in (chosen, rejected)]
        if answers[0] == answers[1]:
            said = f"{better!r} and {worse!r} are the same. Correct one of them, or remove the record."
            raise BadMessagesError(SAME_ANSWERS, said, worse)
        tools = checked_tools(self.tools, chosen)
        checked_tools(self.tools, rejected)
        return Example(line, messages=chosen, tools=tools, rejected=answers[1])

    def _checked(self, answer: list[Any], name: str) -> tuple[dict[str, Any], ...]:
        if not answer:
            said = f"{name!r} is empty. Write the answer, or remove the record."
            raise BadMessagesError("bad_messages", said, name)
        first = answer[0]
        role = first.get("role") if isinstance(first, dict) else None
        if role in ("system", "developer", "user", "tool"):
            said = (
                f"{name}[0].role is {named(role)}; an answer begins with the assistant's message, and what comes before it "
                f"stands in {self.names[0]!r}. Correct it, or remove the record."
            )
            raise BadMessagesError("bad_role", said, f"{name}[0].role")
        try:
            return checked_messages([*self.prompt, *answer])
        except BadMessagesError as error:
            told = _PLACE.sub(lambda place: self._place(int(place[1]), name), error.message)
            field = _PLACE.sub(lambda place: self._place(int(place[1]), name), error.field)
            raise BadMessagesError(error.code, told, name if field == "messages" else field) from error

    def _place(self, index: int, answer: str) -> str:
        before = len(self.prompt)
        return f"{self.names[0]}[{index}]" if index < before else f"{answer}[{index - before}]"


def require_list(value: Any, name: str) -> list[Any]:
    """Return messages as they are.

    Raises:
        BadMessagesError: It is no list.
    """
    if not isinstance(value, list):
        said = f"{name!r} is {described(value)}, but must be a list of messages. Correct it, or remove the record."
        raise BadMessagesError("wrong_type", said, name)
    return value


def without_nulls(messages: list[Any]) -> list[Any]:
    """Return messages without what is null in them, as columns of a table have it."""
    return [{key: value for key, value in each.items() if value is not None} for each in messages]


def meaning_of(prompt: list[Any], chosen: list[Any], rejected: list[Any], tools: Any) -> Fields:
    """Return a pair as the fields by which one shape of pairs is brought into another."""
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **({"tools": tools} if tools else {})}


def normal_pair(pair: Fields) -> Fields:
    """Return the same without what is null in messages."""
    return {name: value if name == "tools" else without_nulls(value) for name, value in pair.items()}


def _told(answer: tuple[dict[str, Any], ...]) -> str:
    """Return all of an answer that tells it from another one."""
    said = [{**each, "content": each["content"].strip()} for each in answer]
    return json.dumps(said, ensure_ascii=False, sort_keys=True, default=str)
