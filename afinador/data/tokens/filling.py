"""Tokenises large data into the cache, before a device is taken: ``python -m afinador.data.tokens.filling``.

One JSON object on standard input says what, one on standard output what became of it. It needs neither weights nor torch,
takes as many processes as tokenising does, and lets every training on this machine come first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from afinador.config.spec import DataFile
from afinador.data.extraction import Extraction
from afinador.data.tokens.cache import TokenCache
from afinador.data.tokens.loading import load_tokens
from afinador.errors import AfinadorError, DataError, ModelError
from afinador.model_index import keep_index_of_models

NICENESS = 10
LOOK_SECONDS = 0.5
STOP_SECONDS = 10.0
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}


def fill_cache(
    files: Mapping[str, DataFile],
    tokenizer: Path,
    max_length: int,
    *,
    extraction: Extraction,
    cache: TokenCache,
    waiting: Callable[[float], None],
) -> dict[str, dict[str, int]]:
    """Tokenise files for causal language modelling into a cache, in a process of its own.

    Args:
        files: With local paths, by the fields of a job that name them.
        tokenizer: Folder of the base model.
        max_length: Most tokens of one example, within the model's context.
        extraction: How documents are asked for.
        cache: Where a training will look.
        waiting: Waits so many seconds; what it raises ends the process and goes on to the caller.

    Returns:
        For each file its ``rows``, the ``bytes`` of its entry, 0 where it could not be kept, and ``cached``: 1 where it
        was there.

    Raises:
        DataError: A record cannot be trained on; ``param`` is the field of its file.
        ModelError: The process ended, or the tokenizer cannot be used.
    """
    request = {
        "files": {field: file.model_dump(mode="json") for field, file in files.items()},
        "tokenizer": str(tokenizer),
        "max_length": max_length,
        "extraction": asdict(extraction),
        "cache": {"folder": str(cache.folder), "max_bytes": cache.max_bytes},
    }
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
        asked.write(json.dumps(request).encode())
        asked.seek(0)
        _wait_for(_started(asked.fileno(), said.fileno()), waiting)
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    ended = {"error": {"kind": "ModelError", "message": _ENDED, "param": None}}
    answer: dict[str, Any] = json.loads(lines[-1]) if lines else ended
    if refused := answer.get("error"):
        kind = DataError if refused["kind"] == "DataError" else ModelError
        raise kind(refused["message"], param=refused["param"])
    filled: dict[str, dict[str, int]] = answer["files"]
    return filled


_ENDED = "The process that tokenises ended before it was done; perhaps the memory did not suffice."


def _started(asked: int, said: int) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches us alone, and we end the process.
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=asked,
        stdout=said,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **_ENVIRONMENT},
    )


def _wait_for(process: subprocess.Popen[bytes], waiting: Callable[[float], None]) -> None:
    try:
        while process.poll() is None:
            waiting(LOOK_SECONDS)
    except BaseException:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def main() -> int:
    """Do what standard input asks for."""
    os.nice(NICENESS)
    # transformers takes three times as long to import with torch, and nothing here computes with it.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    keep_index_of_models()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    print(json.dumps(_answered(json.load(sys.stdin))), file=answer, flush=True)
    return 0


def _answered(asked: dict[str, Any]) -> dict[str, Any]:
    from afinador.data.tokens.tokenizer_files import load_tokenizer  # transformers, of which torch was taken away first

    field: str | None = None
    filled = {}
    try:
        tokenizer = load_tokenizer(asked["tokenizer"])
        cache = TokenCache(Path(asked["cache"]["folder"]), asked["cache"]["max_bytes"])
        for field, fields in asked["files"].items():
            file = DataFile.model_validate(fields)
            loaded = load_tokens(
                file, tokenizer, asked["max_length"], extraction=Extraction(**asked["extraction"]), cache=cache
            )
            kept = loaded.cached
            filled[field] = {
                "rows": len(loaded.rows),
                "bytes": kept.bytes if kept else 0,
                "cached": int(kept is not None and kept.is_hit),
            }
    except AfinadorError as error:
        return {"error": {"kind": type(error).__name__, "message": error.message, "param": field}}
    return {"files": filled}


if __name__ == "__main__":
    sys.exit(main())
