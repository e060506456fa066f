"""From a model folder to its tokenizer, safely: no foreign code, no network, no weights, and torch is not needed."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from afinador.errors import ModelError
from afinador.wording import first_line


def load_tokenizer(path: Path | str, *, ends_answers: bool = True) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model folder.

    Args:
        path: The folder.
        ends_answers: It needs an end-of-sequence token, without which no answer would ever end; classifiers do not.

    Raises:
        ModelError: It cannot be read, or has no end-of-sequence token and needs one.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise ModelError(
            f"The tokenizer in {path} cannot be read: {first_line(error)}. "
            "Save it again with save_pretrained of transformers."
        ) from error
    if ends_answers and tokenizer.eos_token_id is None:
        raise ModelError(
            f"The tokenizer in {path} has no end-of-sequence token, so that no answer could end. "
            "Set eos_token in its tokenizer_config.json."
        )
    for name in ("local_files_only", "is_local"):  # how it was loaded is kept as a part of it, and would be saved
        tokenizer.init_kwargs.pop(name, None)
    return tokenizer
