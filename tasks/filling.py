"""Large data, tokenised in the first step: no device waits for it, and what cannot be learnt from is found before one is taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.dataset_reports import every_of
from afinador.data.extraction import extraction_of
from afinador.data.tokens.cache import TokenCache
from afinador.data.tokens.filling import fill_cache
from afinador.errors import DataError, ModelError
from afinador.figures import counted
from afinador.models.tokenizer_folders import tokenizer_folder
from tasks.attempt import Attempt


def tokenise_large(attempt: Attempt, spec: FineTuningSpec, reports: Mapping[str, dict[str, Any]], folder: Path) -> None:
    """Tokenise the files of which the tokenizer has seen a part only, into the cache that training looks into.

    Small ones are tokenised by the training, in less time than another process takes to start; texts to be classified,
    too: each is cut by itself, and none can be left without anything to learn.

    Args:
        attempt: Of the job.
        spec: With local paths of base model and data.
        reports: What reading has found of ``training_file`` and perhaps ``validation_file``.
        folder: Of the organisation's tokenised data.

    Raises:
        DataError: A record cannot be trained on by this base model, or has nothing to be learnt.
        StopRequestedError: Somebody asked the job to stop.
    """
    large: dict[str, DataFile] = {field: getattr(spec, field) for field, read in reports.items() if every_of(read) > 1}
    most_bytes = attempt.memory.settings.token_cache_bytes
    if not large or not most_bytes or spec.task != "causal_lm":
        return
    base = Path(spec.base_model.path)
    try:
        context = tokenizer_folder(base).context_length
        length = spec.hyperparameters.max_length
        filled = fill_cache(
            large,
            base,
            length if context is None else min(length, context),
            extraction=extraction_of(spec.hyperparameters),
            cache=TokenCache(folder, most_bytes),
            waiting=attempt.wait,
        )
    except DataError as error:
        name = large[str(error.param)].name
        raise DataError(f"{name}: {error.message}", param=error.param) from error
    except ModelError as error:
        attempt.say(f"Large data are tokenised by the training, not before it: {error.message}", level="warn")
        return
    for field, told in filled.items():
        if told["bytes"] and not told["cached"]:
            rows = counted(told["rows"], "row")
            attempt.say(f"{large[field].name} was tokenised before a device is taken: {rows}.", key=f"filled:{field}")
