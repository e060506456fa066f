"""What is to be known of a folder whose tokenizer is asked: for which task it is trained, and how much it can look at.

No weights are needed, not even their headers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afinador.config.architectures import context_length, tasks_of
from afinador.errors import ModelError, UnsupportedModelError
from afinador.models.headers import TOKENIZER_FILES
from afinador.schemas.jobs import Task


@dataclass(frozen=True)
class TokenizerFolder:
    """A folder with a tokenizer, perhaps a whole model.

    Attributes:
        architecture: None where there is no configuration beside the tokenizer.
        context_length: See ``afinador.config.architectures.context_length``.
    """

    path: Path
    architecture: str | None
    context_length: int | None

    def limits(self, task: Task | None, max_length: int) -> dict[str, Any]:
        """Return the fields of ``afinador.data.tokens.checks.Limits`` for a training of this model.

        Args:
            task: The one that the architecture is meant for by default.
            max_length: Most tokens of one example.

        Raises:
            UnsupportedModelError: The architecture is not trained, or not for this task.
        """
        possible: tuple[Task, ...] = ("causal_lm", "sequence_classification")
        if self.architecture is not None:
            possible = tasks_of(self.architecture)
        if task is not None and task not in possible:
            raise UnsupportedModelError(
                f"task is {task!r}; {self.architecture or 'a tokenizer alone'} is looked at for: {', '.join(possible)}.",
                param="task",
            )
        return {"task": task or possible[0], "max_length": max_length, "context_length": self.context_length}


def tokenizer_folder(path: Path) -> TokenizerFolder:
    """Look at a folder.

    Raises:
        ModelError: There is no such folder, it holds no tokenizer, or its ``config.json`` is none.
    """
    if not path.is_dir():
        raise ModelError(f"There is no folder {path}. Name the folder of a base model, which holds its tokenizer.")
    if not any(all((path / name).is_file() for name in names) for names in TOKENIZER_FILES):
        wanted = ", ".join(" + ".join(names) for names in TOKENIZER_FILES)
        raise ModelError(f"{path} holds no tokenizer, which would be one of {wanted}. Name the folder that does.")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        named = config.get("architectures")
        return TokenizerFolder(path, named[0] if isinstance(named, list) and named else None, context_length(config))
    except FileNotFoundError:
        return TokenizerFolder(path, None, None)
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise ModelError(f"config.json in {path} cannot be read. Copy it again from the model.") from error
