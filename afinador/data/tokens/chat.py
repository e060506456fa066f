"""Examples through the tokenizer's chat template, and where in the text the answers are.

No template is trusted to mark the answers. Each is found by rendering the conversation up to it and once more with it:
what the second has more is the answer with its end-of-turn token.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, TemplateSyntaxError

from afinador.data.quoting import shortened
from afinador.data.tokens.segments import Segment
from afinador.data.tokens.special_tokens import SpecialTokens, special_tokens
from afinador.errors import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example

MOST_MESSAGES = 2000
"""Of one conversation. Each answer is found by rendering all before it, so that twice as many messages take four times
as long: 2,000 take eight seconds, ten times as many would take a quarter of an hour."""

_PLAIN_TURN = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})

# Marks around the number of a protected text: two private characters, and no data holds both in this form.
_FIRST_PRIVATE, _LAST_PRIVATE = 0xE000, 0xF8FF


def chat_segments(example: Example, tokenizer: PreTrainedTokenizerBase) -> list[Segment]:
    """Return the rendered conversation in pieces, up to the end of the last answer.

    Text of the data set that looks like a special token (``<|im_end|>``) stays text.

    Raises:
        DataError: The template refuses the conversation, or writes none of the answers so that they can be found; or it
            has too many messages.
        ModelError: The template cannot be used at all.
    """
    if example.messages is not None and len(example.messages) > MOST_MESSAGES:
        raise DataError(
            f"Record at line {example.line} has {len(example.messages)} messages; at most {MOST_MESSAGES} are written with "
            "a chat template. Split the conversation into several records."
        )
    special = special_tokens(tokenizer)
    messages, protected = _protect(_messages_of(example), special)
    rendering = _Rendering(example, messages, tokenizer)
    spans = [
        _without_space_after_end(rendering.whole, start, end, special.texts)
        for start, end in rendering.answer_spans()
        if end > start
    ]
    if not spans:
        raise DataError(
            f"Record at line {example.line}: the chat template of the base model writes its answers so that they cannot "
            "be found again, and nothing would be learnt. Check what the template does with this conversation."
        )
    segments: list[Segment] = []
    position = 0
    for start, end in spans:
        segments += protected.pieces(rendering.whole[position:start], trained=False)
        segments += protected.pieces(rendering.whole[start:end], trained=True)
        position = end
    if not rendering.whole[:position].endswith(special.texts):
        segments.append(Segment("", trained=True, closes=True, literal=True))
    return [segment for segment in segments if segment.text or segment.closes]


def _messages_of(example: Example) -> list[dict[str, Any]]:
    if example.messages is None:
        return [{"role": "user", "content": example.prompt}, {"role": "assistant", "content": example.completion}]
    return [_with_parsed_arguments(message) for message in example.messages]


def _with_parsed_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """Templates write the arguments of a call with ``tojson``: they want the object, not its text."""
    if "tool_calls" not in message:
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


class _Rendering:
    """A conversation, whole and in its beginnings, as the template writes it."""

    def __init__(self, example: Example, messages: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase) -> None:
        self._example = example
        self._messages = messages
        self._tokenizer = tokenizer
        self.whole = self._up_to(len(messages))

    def answer_spans(self) -> list[tuple[int, int]]:
        """Return where each answer that is to be learnt starts and ends, in order and without overlap."""
        spans = []
        position = 0
        for index, message in enumerate(self._messages):
            if message["role"] != "assistant":
                continue
            start, end = self._span(index, position)
            position = max(position, end)
            if message.get("weight") != 0:
                spans.append((start, end))
        return spans

    def _span(self, index: int, position: int) -> tuple[int, int]:
        before = self._up_to(index, generation_prompt=True)
        after = self._up_to(index + 1)
        if self.whole.startswith(before) and self.whole.startswith(after) and len(before) >= position:
            return len(before), len(after)
        # Some templates write earlier turns in another way than the last (they drop the thoughts): look for the words.
        content = self._messages[index]["content"].strip()
        start = self.whole.find(content, position) if content else -1
        return (start, start + len(content)) if start >= 0 else (position, position)

    def _up_to(self, count: int, *, generation_prompt: bool = False) -> str:
        messages = [
            {key: value for key, value in message.items() if key != "weight"} for message in self._messages[:count]
        ]
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages,
                    tools=list(self._example.tools) if self._example.tools else None,
                    tokenize=False,
                    add_generation_prompt=generation_prompt,
                )
            )
        except Exception as error:
            # A template is a program of the model's author: it may raise anything.
            if _is_broken(self._tokenizer, error):
                raise ModelError(
                    f"The chat template of the base model cannot be used: {shortened(str(error), 200)}{_line_of(error)}. "
                    "Correct it, in chat_template.jinja or tokenizer_config.json of the base model, or take another one."
                ) from error
            raise DataError(
                f"Record at line {self._example.line}: the chat template of the base model refuses this conversation: "
                f"{shortened(str(error), 200)}. Change the order or the roles of its messages, or remove the record."
            ) from error


def _is_broken(tokenizer: PreTrainedTokenizerBase, error: Exception) -> bool:
    """Tell whether a template fails with a plain question and its answer, too, and not for it refuses them."""
    if type(error) is TemplateError:  # what raise_exception raises; all others are subclasses
        return False
    try:
        tokenizer.apply_chat_template([*_PLAIN_TURN], tokenize=False)
    except Exception as again:
        return type(again) is not TemplateError
    return False


def _line_of(error: Exception) -> str:
    return f" (line {error.lineno} of the template)" if isinstance(error, TemplateSyntaxError) else ""


def _without_space_after_end(whole: str, start: int, end: int, special: tuple[str, ...]) -> tuple[int, int]:
    """Leave the white space after an end-of-turn token out of what is learnt: generation stops before it."""
    answer = whole[start:end].rstrip()
    if answer.endswith(special):
        return start, start + len(answer)
    following = next((token for token in special if whole.startswith(token, end)), "")
    return start, end + len(following)


class _Protected:
    """Texts that were taken out of messages before rendering, and how to find their places again."""

    def __init__(self, texts: list[str], mark: str) -> None:
        self._texts = texts
        self._pattern = re.compile(f"{mark}([0-9]+){mark}")

    def pieces(self, text: str, *, trained: bool) -> list[Segment]:
        """Return a part of the rendered text, with the texts that were taken out put back as literal pieces."""
        parts = self._pattern.split(text)
        return [
            Segment(self._texts[int(part)], trained, literal=True)
            if index % 2
            else Segment(part, trained, literal=False)
            for index, part in enumerate(parts)
        ]


def _protect(messages: list[dict[str, Any]], special: SpecialTokens) -> tuple[list[dict[str, Any]], _Protected]:
    contents = "".join(message["content"] for message in messages)
    mark = next(chr(code) for code in range(_FIRST_PRIVATE, _LAST_PRIVATE + 1) if chr(code) not in contents)
    texts: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        texts.append(match[0])
        return f"{mark}{len(texts) - 1}{mark}"

    protected = [{**message, "content": special.pattern.sub(take_out, message["content"])} for message in messages]
    return protected, _Protected(texts, mark)
