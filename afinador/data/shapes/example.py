"""The one form that all shapes of a record are brought into for training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from afinador.data.extraction import Document


@dataclass(frozen=True)
class Example:
    """One record that can be trained on: ``prompt`` and ``completion``, or ``messages``, or ``text``.

    Attributes:
        line: As in ``Record``.
        messages: Content is text; arguments of tool calls are JSON texts; ``weight`` 0 or 1 as it was given.
        prompt_messages: How many of the messages are those of a field of their own that asks; 0 where there is none.
        tools: Declarations of functions, beside ``messages``.
        document: What ``prompt`` and ``completion`` were made of by the default prompt, see
            ``afinador.data.extraction``; of the shape ``document_metadata`` only.
        unasked: Fields of the metadata of a document that the job's schema does not ask for.
        rejected: Of a preference pair the worse answer, a text that tells it from others; the better one is in its place.
    """

    line: int
    prompt: str | None = None
    completion: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    text: str | None = None
    tools: tuple[dict[str, Any], ...] | None = None
    document: Document | None = None
    rejected: str | None = None
    unasked: tuple[str, ...] = ()
    prompt_messages: int = field(default=0, compare=False)
