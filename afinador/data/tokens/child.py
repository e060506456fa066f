"""Answers what needs a tokenizer, as a process of its own: ``python -m afinador.data.tokens.child``.

It reads requests and writes answers, one JSON object a line, on standard input and output, and before an answer how far
it is (``records_done``) where that was asked for; it needs neither weights nor
torch. ``afinador.data.tokens.process`` starts it, asks it, and starts it again where it fails. It ends when nothing more
can be read or its parent is gone, and after some minutes without work.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import select
import sys
import threading
import time
import traceback
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from afinador.data.extraction import Extraction
from afinador.data.files.readers import read_records
from afinador.data.records import Problem, Record
from afinador.data.schema_checks import SchemaChecks
from afinador.data.shapes import Example, to_example
from afinador.data.tokens.encoding import text_ids
from afinador.errors import AfinadorError
from afinador.model_index import keep_index_of_models
from afinador.schemas.datasets import parse_reading

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZERS_KEPT = 4
IDLE_SECONDS = 600.0
"""After so long without a request the process ends, and gives its memory back."""
MOST_MEMORY_BYTES = 4 << 30
"""Of what it may hold beside mapped files; a tokenizer that wants more ends the process, and nothing else."""
_PARENT_SECONDS = 1.0
_SECONDS_BETWEEN_FIGURES = 0.3
_OWN_FILES_BYTES = 64 << 20


def main() -> int:
    """Answer requests until there are no more."""
    # transformers takes three times as long to import with torch, and nothing here computes with it.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    keep_index_of_models()
    answers = _own_output()
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    tokenizers = Tokenizers()
    while select.select([sys.stdin.buffer], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            break
        _write(answers, _answered(request := json.loads(line), tokenizers, partial(_tell, answers, request["id"])))
    return 0


def _write(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _tell(answers: BinaryIO, number: int, records: int) -> None:
    _write(answers, {"id": number, "records_done": records})


def _own_output() -> BinaryIO:
    """Keep standard output for answers alone; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(0)


def _answered(request: dict[str, Any], tokenizers: Tokenizers, tell: Callable[[int], None]) -> dict[str, Any]:
    told = {"tell": tell} if request.get("tells") else {}
    try:
        answer = ANSWERS[request["method"]](tokenizers, **request["arguments"], **told)
    except AfinadorError as error:
        refused = {"kind": type(error).__name__, "message": error.message, "code": error.code, "param": error.param}
        return {"id": request["id"], "error": refused}
    except Exception as error:  # of a tokenizer or of its template: the next request may be about another one
        traceback.print_exc()
        said = f"The tokenizer failed ({type(error).__name__}). Look at the data, or save the tokenizer again."
        return {"id": request["id"], "error": {"kind": "ModelError", "message": said, "code": None, "param": None}}
    return {"id": request["id"], "answer": answer}


class Tokenizers:
    """The tokenizers that were asked for last, known by what is in their files, wherever these lie."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, PreTrainedTokenizerBase] = OrderedDict()

    def get(self, folder: str, *, ends_answers: bool) -> PreTrainedTokenizerBase:
        """Return the tokenizer of a folder.

        Raises:
            ModelError: See ``afinador.data.tokens.tokenizer_files.load_tokenizer``.
        """
        from afinador.data.tokens.tokenizer_files import (
            load_tokenizer,  # transformers, of which torch was taken away first
        )

        key = _digest_of(Path(folder))
        tokenizer = self._kept.pop(key, None)
        if tokenizer is None or (ends_answers and tokenizer.eos_token_id is None):
            tokenizer = load_tokenizer(folder, ends_answers=ends_answers)
            tokenizer.truncation_side = "right"  # as training sets it for classifiers
        self._kept[key] = tokenizer
        while len(self._kept) > TOKENIZERS_KEPT:
            self._kept.popitem(last=False)
        return tokenizer


def _digest_of(folder: Path) -> bytes:
    """Return the hash of all files of a folder that a tokenizer can be made of."""
    digest = hashlib.blake2b()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and path.suffix != ".safetensors" and path.stat().st_size < _OWN_FILES_BYTES:
            content = path.read_bytes()
            digest.update(f"{path.name}\n{len(content)}\n".encode() + content)
    return digest.digest()


def _checked(
    tokenizers: Tokenizers,
    *,
    limits: dict[str, Any],
    every: int = 1,
    tell: Callable[[int], None] | None = None,
    **where: Any,
) -> dict[str, Any]:
    from afinador.data.tokens.checks import Limits, check_tokens

    tokenizer = tokenizers.get(where["tokenizer"], ends_answers=limits["task"] == "causal_lm")
    examples = usable_examples(every=every, **where)
    followed = examples if tell is None else _followed(examples, tell)
    checked = check_tokens(followed, tokenizer, Limits(**limits), where["shape"])
    checked["tokens"]["every"] = every
    return checked


def _followed(examples: Iterator[Example], tell: Callable[[int], None]) -> Iterator[Example]:
    told_at = time.monotonic()
    for number, example in enumerate(examples):
        if time.monotonic() - told_at > _SECONDS_BETWEEN_FIGURES:
            tell(number)
            told_at = time.monotonic()
        yield example


def _previewed(tokenizers: Tokenizers, *, limits: dict[str, Any], records: int, **where: Any) -> dict[str, Any]:
    from afinador.data.tokens.checks import Limits
    from afinador.data.tokens.preview import preview

    tokenizer = tokenizers.get(where["tokenizer"], ends_answers=limits["task"] == "causal_lm")
    passed: Counter[str] = Counter()
    places: dict[int, str] = {}
    examples = usable_examples(passed=passed, places=places, **where)
    shown = preview(examples, tokenizer, Limits(**limits), records, where["shape"])
    placed = [{**record, "place": places[record["line"]]} for record in shown["records"]]
    return {**shown, "records": placed, "unusable_records": passed.total()}


def usable_examples(
    *,
    path: str,
    format: Any,
    shape: Any,
    declared: dict[str, Any] | None = None,
    extraction: dict[str, Any] | None = None,
    every: int = 1,
    passed: Counter[str] | None = None,
    places: dict[int, str] | None = None,
    **_: Any,
) -> Iterator[Example]:
    """Yield every so-many-th usable record of a file; those that are not were told without a tokenizer.

    They are counted in ``passed``, by what is wrong with them. In ``places`` it is put down where each is that was yielded.
    """
    from afinador.data.tokens.prompting import asked_by

    reading, wanted = parse_reading(declared or {}), Extraction(**(extraction or {}))
    is_declared = reading is not None and reading.shape is not None
    usable = 0
    schemas = SchemaChecks()
    try:
        for found in read_records(Path(path), format, reading):
            example = found if isinstance(found, Problem) else to_example(found, shape, is_declared=is_declared)
            if isinstance(example, Example):
                usable += 1
                if (usable - 1) % every:
                    continue
                example = _fitting(found, example, schemas)
            if isinstance(example, Example):
                if places is not None and isinstance(found, Record):
                    places[example.line] = found.place
                yield from asked_by([example], wanted)
            elif passed is not None and example.stands_for_a_record:
                passed[example.code] += 1
    finally:
        schemas.finish()


def _fitting(found: Record | Problem, example: Example, schemas: SchemaChecks) -> Example | Problem:
    """Return an example, or the first reason why its metadata do not fit their schema."""
    if example.document is None or isinstance(found, Problem):
        return example
    return next(iter(schemas.faults_of(found, example.document)), example)


def _counted(tokenizers: Tokenizers, *, tokenizer: str, texts: list[str]) -> dict[str, Any]:
    loaded = tokenizers.get(tokenizer, ends_answers=False)
    return {"tokens": sum(len(text_ids(loaded, text, literal=True, continues=False)) for text in texts)}


def _tokenised(
    tokenizers: Tokenizers, *, tokenizer: str, examples: list[dict[str, Any]], limits: dict[str, Any]
) -> dict[str, Any]:
    from afinador.data.tokens.checks import Limits
    from afinador.data.tokens.prepared_tokens import token_rows

    loaded = tokenizers.get(tokenizer, ends_answers=limits["task"] == "causal_lm")
    return {"rows": [token_rows(Example(**example), loaded, Limits(**limits)) for example in examples]}


ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    "check": _checked,
    "preview": _previewed,
    "count": _counted,
    "tokenise": _tokenised,
}

if __name__ == "__main__":
    sys.exit(main())
