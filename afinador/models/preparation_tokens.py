"""What steps of a preparation ask of a base model: tokens counted and made by the process that knows tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from afinador.data.preparation import Means
from afinador.data.shapes import Example
from afinador.data.tokens.process import TokenProcess
from afinador.models.tokenizer_folders import TokenizerFolder
from afinador.schemas.jobs import Task

_SENT = ("line", "prompt", "completion", "messages", "text", "tools")


def means_of_base_model(folder: TokenizerFolder, process: TokenProcess) -> Means:
    """Return the means to count and to make tokens of a base model; the process is started by the first step that asks."""

    def tokenise(examples: Sequence[Example], task: str | None, max_length: int) -> list[list[dict[str, Any]]]:
        sent = [{name: value for name in _SENT if (value := getattr(each, name)) is not None} for each in examples]
        return process.tokenise(folder.path, sent, folder.limits(cast("Task | None", task), max_length))

    return Means(count_tokens=lambda texts: process.count(folder.path, texts), tokenise=tokenise)
