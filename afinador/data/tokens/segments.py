"""A piece of what the model sees."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """A piece of text, learnt or not.

    Attributes:
        text: As it stands, without BOS, and without the EOS that ``closes`` asks for.
        trained: Its tokens are targets of the loss.
        closes: The EOS of the tokenizer follows, learnt if the text is.
        literal: What looks like a special token is text; False for what a chat template wrote.
    """

    text: str
    trained: bool
    closes: bool = False
    literal: bool = True
