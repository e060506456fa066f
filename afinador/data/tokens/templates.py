"""From an example to the text that the model sees, and which parts of it are learnt.

A tokenizer with a chat template is fed through it. Without one the plain template holds, exactly::

    Human: {prompt}⏎Assistant: {completion}<EOS>

and for conversations one line a message, ``System: …``, ``User: …``, ``Assistant: …<EOS>``. A ``text`` stands alone,
followed by EOS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from afinador.data.shapes import Example
from afinador.data.tokens.chat import chat_segments
from afinador.data.tokens.encoding import end_id, head_ids, require_length, text_ids
from afinador.data.tokens.segments import Segment
from afinador.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["EncodedSegment", "Segment", "encode", "encode_prompt", "render", "stop_ids", "template_name"]

_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True)
class EncodedSegment:
    """Token ids that are all learnt, or all not, and the text that they are of, without BOS and EOS; see ``Segment``."""

    ids: list[int]
    trained: bool
    text: str = ""
    literal: bool = True


def template_name(tokenizer: PreTrainedTokenizerBase) -> Literal["chat_template", "plain"]:
    """Say which template a tokenizer's conversations are rendered with."""
    return "chat_template" if tokenizer.chat_template else "plain"


def render(example: Example, tokenizer: PreTrainedTokenizerBase) -> list[Segment]:
    """Return the text of an example in pieces; what follows the last trained one is left out.

    Raises:
        DataError: The chat template refuses the conversation, or tools are given and there is no chat template.
    """
    if example.text is not None:
        return [Segment(example.text, trained=True, closes=True)]
    if template_name(tokenizer) == "chat_template":
        return chat_segments(example, tokenizer)
    if example.messages is not None:
        return _plain_conversation(example)
    return [
        Segment(f"Human: {example.prompt}\nAssistant:", trained=False),
        Segment(_answer(example.completion or ""), trained=True, closes=True),
    ]


def encode(example: Example, tokenizer: PreTrainedTokenizerBase) -> list[EncodedSegment]:
    """Return the token ids of an example in pieces, with one BOS where the tokenizer has it and EOS after answers.

    Raises:
        DataError: As ``render``, or it is too long.
        ModelError: The tokenizer has no end-of-sequence token.
    """
    require_length(example)
    return _encoded(render(example, tokenizer), tokenizer, adds_head=_adds_head(example, tokenizer))


def encode_prompt(example: Example, tokenizer: PreTrainedTokenizerBase) -> list[EncodedSegment]:
    """Return the token ids before the last answer in pieces, to generate from; of a ``text`` the BOS alone, or nothing.

    Raises:
        DataError: As ``render``.
    """
    segments = render(example, tokenizer)
    while segments and segments[-1].trained:
        segments = segments[:-1]
    return _encoded(segments, tokenizer, adds_head=_adds_head(example, tokenizer))


def stop_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that end an answer: EOS, and the token with which the chat template closes a turn."""
    last = encode(Example(line=1, prompt="a", completion="b"), tokenizer)[-1].ids[-1]
    return sorted({end_id(tokenizer), last})


def _adds_head(example: Example, tokenizer: PreTrainedTokenizerBase) -> bool:
    """A chat template writes the BOS itself."""
    return example.text is not None or template_name(tokenizer) == "plain"


def _encoded(segments: list[Segment], tokenizer: PreTrainedTokenizerBase, *, adds_head: bool) -> list[EncodedSegment]:
    encoded = []
    if adds_head:
        encoded.append(EncodedSegment(head_ids(tokenizer), trained=False))
    for index, segment in enumerate(segments):
        ids = text_ids(tokenizer, segment.text, literal=segment.literal, continues=index > 0)
        if index == 0 and adds_head and ids[:1] == encoded[0].ids[:1]:
            # A tokenizer that cannot help but read the text's own "<s>" as BOS.
            ids = ids[1:]
        if segment.closes:
            ids = [*ids, end_id(tokenizer)]
        encoded.append(EncodedSegment(ids, segment.trained, segment.text, segment.literal))
    return encoded


def _plain_conversation(example: Example) -> list[Segment]:
    segments: list[Segment] = []
    before = ""
    for message in example.messages or ():
        if message["role"] not in _SPEAKERS or message.get("tool_calls") or example.tools:
            raise DataError(
                f"Record at line {example.line} uses tools, but the base model has no chat template to write them with. "
                "Take a base model with a chat template, or remove the tools."
            )
        if message["role"] != "assistant":
            before += f"{_SPEAKERS[message['role']]}: {message['content']}\n"
            continue
        segments.append(Segment(f"{before}Assistant:", trained=False))
        segments.append(Segment(_answer(message["content"]), trained=message.get("weight") != 0, closes=True))
        before = "\n"
    while not segments[-1].trained:
        segments.pop()
    return segments


def _answer(text: str) -> str:
    """One space before the answer, also when it was written with one."""
    return f" {text.removeprefix(' ')}"
