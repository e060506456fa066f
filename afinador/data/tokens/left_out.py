"""What of a record a chat template leaves out, or writes otherwise than it stands there, so that it is never learnt or read.

Every text is looked for in what the template has written, in the order of the messages. White space at both ends is
the template's own affair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from afinador.data.shapes import Example

_REMEDIES = {
    "system": "Correct the chat template, write it into the first user message, or take a base model whose template writes system messages.",
    "user": "Correct the chat template of the base model, or take another base model.",
    "assistant": "Correct the chat template of the base model, or leave out of the answers what it cuts from them (such as thoughts).",
    "tool": "Take a base model whose chat template writes tools' replies, or correct the template.",
    "call": "Take a base model whose chat template writes calls of tools, or correct the template.",
    "declaration": "Take a base model whose chat template writes tools, correct the template, or remove the tools.",
}
_ENDS = 40
"""So many characters of either end tell that a text is there in part."""


@dataclass(frozen=True)
class LeftOut:
    """A text of a record that is not in what the model sees, or not as it was written.

    Attributes:
        kind: The role of its message, ``call`` or ``declaration`` of a tool.
        place: Where it stands in the example.
        how: What is wrong with it, as a clause of a sentence.
    """

    kind: str
    place: str
    how: str

    @property
    def code(self) -> str:
        """The code of the warning; one for each kind, so that none is lost among many of another."""
        return f"template_leaves_out_{self.kind}"

    @property
    def message(self) -> str:
        """What is said of it, from the second word on, with the remedy."""
        return f"{self.how} by the chat template. {_REMEDIES.get(self.kind, _REMEDIES['user'])}"


def left_out(example: Example, text: str) -> Iterator[LeftOut]:
    """Yield what is not in the text that a model sees of an example, of each kind the first.

    Args:
        example: No ``text``, which no template writes.
        text: All that is read and learnt of it, up to the last answer that is learnt.
    """
    told: set[str] = set()
    for found in _all_left_out(example, text):
        if found.kind not in told:
            told.add(found.kind)
            yield found


def _all_left_out(example: Example, text: str) -> Iterator[LeftOut]:
    messages, places = _messages_of(example)
    for tool in example.tools or ():
        name = tool["function"]["name"]
        if name not in text:
            yield LeftOut("declaration", "tools", f"the tool {name!r} is declared, and its declaration is not written")
            break
    search = _Search(text, [message["content"].strip() for message in messages])
    for message, place in zip(messages, places, strict=True):
        start = search.position
        content = message["content"].strip()
        if content and not search.finds(content):
            whose = f"the {message['role']}'s message" if message["role"] != "system" else "the system message"
            yield LeftOut(message["role"], place, f"{whose} is {_how(content, text)}")
        for number, call in enumerate(message.get("tool_calls") or ()):
            if (how := search.misses_call(call["function"], start)) is not None:
                yield LeftOut("call", f"messages[{places.index(place)}].tool_calls[{number}].function", how)


def _messages_of(example: Example) -> tuple[list[dict[str, Any]], list[str]]:
    """Return messages up to the last that is learnt, behind which nothing is seen, and where each stands."""
    if example.messages is None:
        pair = (("user", example.prompt, "prompt"), ("assistant", example.completion, "completion"))
        return [{"role": role, "content": text or ""} for role, text, _ in pair], [place for _, _, place in pair]
    learnt = [
        index
        for index, message in enumerate(example.messages)
        if message["role"] == "assistant" and message.get("weight") != 0
    ]
    messages = list(example.messages[: learnt[-1] + 1])
    return messages, [f"messages[{index}].content" for index in range(len(messages))]


class _Search:
    """Looks for texts in their order; templates that write messages in another one are followed as far as may be.

    Args:
        text: What the template has written.
        contents: Of all messages.
    """

    def __init__(self, text: str, contents: list[str]) -> None:
        self._text, self._contents = text, contents
        self._is_in_order = True
        self.position = 0

    def finds(self, content: str) -> bool:
        """Tell whether a text stands behind those before it, or as often as messages have it."""
        at = self._text.find(content, self.position)
        if at >= 0:
            self.position = at + len(content)
            return True
        if self._text.count(content) >= self._contents.count(content):
            self._is_in_order = False
            return True
        escaped = _inside_of_json(content)  # as some write the replies of tools
        return escaped != content and escaped in self._text

    def misses_call(self, function: Mapping[str, Any], start: int) -> str | None:
        """Return what of the call of a tool is missing; None if nothing is."""
        start = start if self._is_in_order else 0
        if self._text.find(function["name"], start) < 0:
            return f"the call of the tool {function['name']!r} is not written"
        arguments = json.loads(function["arguments"])
        if _as_json(arguments) in self._text:
            return None
        for value in _leaves(arguments):
            written = (
                (value, _inside_of_json(value), json.dumps(value)[1:-1]) if isinstance(value, str) else (str(value),)
            )
            if not any(self._text.find(each, start) >= 0 for each in written):
                return f"the arguments of the call of the tool {function['name']!r} are not written whole"
        return None


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _inside_of_json(text: str) -> str:
    return _as_json(text)[1:-1]


def _leaves(value: Any) -> Iterator[str | int | float]:
    """Yield names and values of arguments, but for those that programs write in several ways: true, false, null, fractions."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def _how(content: str, text: str) -> str:
    if content.casefold() in text.casefold():
        return "written with other capitals"
    if " ".join(content.split()) in " ".join(text.split()):
        return "written with other white space"
    if len(content) > _ENDS and (content[:_ENDS] in text or content[-_ENDS:] in text):
        return "written in part or in another way"
    return "left out or written in another way"
