"""Tokenised data, kept for the next run on the same data.

An entry is found by everything that it depends on: the bytes of the data and how they are read, tokenizer and chat
template, lengths and classes, and the code and libraries that make tokens of text. So a hit is what tokenising anew
would give, to the bit, and nothing has to be invalidated. Entries are Arrow files, written batch by batch under another name, and
mapped into memory, so that neither takes more for more data; of two processes that write the same one, the last wins
with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.data.files.formats import extension_of
from afinador.data.files.loaders import code_of_loader
from afinador.data.tokens.rows import TokenRows, batches_of, map_rows, write_rows
from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.errors import InsufficientStorageError
from afinador.storage import require_free_space

if TYPE_CHECKING:
    import pyarrow
    from transformers import PreTrainedTokenizerBase

    from afinador.config.spec import DataFile

SUFFIX = ".arrow"
_FIGURES_SUFFIX = ".json"
ABANDONED_SECONDS = 86_400.0
"""What a process that died has left half written, goes after so long."""
_LIBRARIES = ("transformers", "tokenizers", "jinja2")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """Tokenised examples, and where they came from.

    Attributes:
        summary: What was told of them when they were made.
        is_hit: Nothing was read or tokenised.
        bytes: Size of the entry; 0 where none could be kept.
    """

    tokenised: TokenRows
    summary: dict[str, Any]
    is_hit: bool
    bytes: int


@dataclass(frozen=True)
class TokenCache:
    """Entries of one organisation, beside the folders of others.

    Attributes:
        folder: Of the organisation.
        max_bytes: Of all organisations together; what was not used for longest goes first.
    """

    folder: Path
    max_bytes: int

    def get_or_make(
        self,
        key: str,
        make: Callable[[], Iterable[TokenisedExample]],
        summarise: Callable[[], Mapping[str, Any]] = dict,
    ) -> Cached:
        """Return an entry, or make it and keep it; whatever is wrong with the cache, the run goes on without.

        Args:
            key: See ``key_of``.
            make: Tokenises, at least one example; what it raises goes on to the caller.
            summarise: Tells of what was made, as plain JSON values; asked when all of it was.
        """
        path = self.folder / f"{key}{SUFFIX}"
        found = self._find(path)
        if found is not None:
            return found
        try:
            return self._keep(path, make(), summarise)
        except (OSError, InsufficientStorageError, MemoryError) as error:
            logger.warning("The tokenised data are not kept for later runs: %s", error)
            rows = TokenRows(batches_of(make()))
            return Cached(rows, dict(summarise()), False, 0)

    def _find(self, path: Path) -> Cached | None:
        """Return an entry, or None where there is none; a damaged one goes."""
        try:
            size = path.stat().st_size
            rows, summary = map_rows(path)
            os.utime(path)
            return Cached(rows, summary, True, size)
        except ValueError as error:
            logger.warning("Tokenised data in %s are damaged (%s) and made anew.", path.name, error)
            with suppress(OSError):
                path.unlink()
        except OSError:  # there is none, or it was removed just now by another process that needed the room
            pass
        return None

    def _keep(
        self, path: Path, tokenised: Iterable[TokenisedExample], summarise: Callable[[], Mapping[str, Any]]
    ) -> Cached:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            write_rows(temporary, self._with_room(batches_of(tokenised)), summarise)
            rows, summary = map_rows(temporary)  # which stay, also where the file does not
            size = temporary.stat().st_size
            if size > self.max_bytes:
                return Cached(rows, summary, False, 0)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._prune()
        return Cached(rows, summary, False, size)

    def _with_room(self, batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        for batch in batches:
            require_free_space(self.folder, batch.nbytes, "Keeping tokenised data")
            yield batch

    def _prune(self) -> None:
        """Remove what was not used for longest, until the rest fits; another process may do the same just now."""
        entries = []
        for path in self.folder.parent.glob("*/*"):
            try:
                state = path.stat()
                if path.suffix in (SUFFIX, _FIGURES_SUFFIX):
                    entries.append((state.st_mtime, state.st_size, path))
                elif path.suffix == ".tmp" and state.st_mtime < time.time() - ABANDONED_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                continue
        excess = sum(size for _, size, _ in entries) - self.max_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def identity_of(file: DataFile) -> dict[str, Any]:
    """Return all that decides what is read from a file: bytes, declaration, extension, and the code of a custom loader."""
    loader = file.reading.loader if file.reading else None
    return {
        **file.model_dump(mode="json", exclude={"file_id", "name", "path", "bytes"}),
        "extension": extension_of(Path(file.path).name),
        "loader_code": code_of_loader(loader) if loader else None,
    }


def key_of(
    data: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, max_length: int, classes: Sequence[str]
) -> str | None:
    """Return the name of an entry, which begins with the hash of the data; None where the tokenizer cannot be known.

    Args:
        data: ``identity_of`` the file, and everything else that says how it is read.
        tokenizer: As it will be used.
        max_length: Most tokens of one example.
        classes: By their ids; none unless texts are classified.
    """
    identity = _identity_of(tokenizer)
    if identity is None:
        return None
    parts = {
        "data": dict(data),
        "tokenizer": identity,
        "max_length": max_length,
        "classes": list(classes),
        **code_and_libraries(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
    return f"{data['sha256']}-{digest[:32]}"


def _identity_of(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any] | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    described = json.loads(backend.to_str())
    for state in ("truncation", "padding"):  # of the last call
        described.pop(state, None)
    whole = json.dumps(described, sort_keys=True).encode()
    return {
        "class": type(tokenizer).__name__,
        "backend": hashlib.sha256(whole).hexdigest(),
        "special_tokens": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "chat_template": tokenizer.chat_template,
        # Some write the date: what they write on another day is another text.
        "day": date.today().isoformat() if "strftime_now" in str(tokenizer.chat_template) else None,
        "truncation_side": tokenizer.truncation_side,
    }


@cache
def code_and_libraries() -> dict[str, str]:
    """Return the hash of the code that makes tokens of files, which is this package's, and versions of what it uses."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {"code": digest.hexdigest(), **{name: version(name) for name in _LIBRARIES}}
