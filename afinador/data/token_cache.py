"""Tokenised data, kept for the next run on the same data.

An entry is found by everything that it depends on: the bytes of the data and how they are read, tokenizer and chat
template, lengths and classes, and the code and libraries that make tokens of text. So a hit is what tokenising anew
would give, to the bit, and nothing has to be invalidated. Entries are Arrow files, written whole or not at all; of two
processes that write the same one, the last wins with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.data.tokenisation import TokenisedExample
from afinador.errors import InsufficientStorageError
from afinador.storage import require_free_space

if TYPE_CHECKING:
    import pyarrow
    from transformers import PreTrainedTokenizerBase

SUFFIX = ".arrow"
_FIGURES_SUFFIX = ".json"
ABANDONED_SECONDS = 86_400.0
"""What a process that died has left half written, goes after so long."""
_LIBRARIES = ("transformers", "tokenizers", "jinja2")
_BYTES_PER_TOKEN = 8
_DIGEST = b"blake2b"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """Tokenised examples, and where they came from.

    Attributes:
        is_hit: Nothing was tokenised.
        bytes: Size of the entry; 0 where none could be kept.
    """

    tokenised: list[TokenisedExample]
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

    def get_or_make(self, key: str, make: Callable[[], list[TokenisedExample]]) -> Cached:
        """Return an entry, or make it and keep it; whatever is wrong with the cache, the run goes on without.

        Args:
            key: See ``key_of``.
            make: Tokenises; what it raises goes on to the caller.
        """
        path = self.folder / f"{key}{SUFFIX}"
        found = _read(path)
        if found is not None:
            with suppress(OSError):  # removed just now, by another process that needed the room
                os.utime(path)
            return Cached(found[0], True, found[1])
        made = make()
        try:
            return Cached(made, False, self._keep(path, made))
        except (OSError, InsufficientStorageError, MemoryError) as error:
            logger.warning("The tokenised data are not kept for later runs: %s", error)
            return Cached(made, False, 0)

    def _keep(self, path: Path, tokenised: Sequence[TokenisedExample]) -> int:
        needed = _BYTES_PER_TOKEN * sum(len(example.input_ids) for example in tokenised)
        if needed > self.max_bytes:
            return 0
        self.folder.mkdir(parents=True, exist_ok=True)
        require_free_space(self.folder, needed, "Keeping tokenised data")
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            _write(temporary, tokenised)
            size = temporary.stat().st_size
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._prune()
        return size

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


def key_of(
    data: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, max_length: int, classes: Sequence[str]
) -> str | None:
    """Return the name of an entry, which begins with the hash of the data; None where the tokenizer cannot be known.

    Args:
        data: ``sha256`` of the bytes, and everything that says how they are read.
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
        "truncation_side": tokenizer.truncation_side,
    }


@cache
def code_and_libraries() -> dict[str, str]:
    """Return the hash of the code that makes tokens of files, which is this package's, and versions of what it uses."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {"code": digest.hexdigest(), **{name: version(name) for name in _LIBRARIES}}


def _write(path: Path, tokenised: Sequence[TokenisedExample]) -> None:
    import pyarrow  # heavy, and only runs that keep tokens need it

    lists = pyarrow.list_(pyarrow.int32())
    table = pyarrow.table(
        {
            "input_ids": pyarrow.array([example.input_ids for example in tokenised], lists),
            "labels": pyarrow.array([example.labels for example in tokenised], lists),
            "cut_before": pyarrow.array([example.cut_before for example in tokenised], pyarrow.int32()),
            "cut_after": pyarrow.array([example.cut_after for example in tokenised], pyarrow.int32()),
            "continues": pyarrow.array([example.continues for example in tokenised], pyarrow.bool_()),
        }
    )
    table = table.replace_schema_metadata({_DIGEST: _digest_of(table)})
    with path.open("wb") as stream:
        with pyarrow.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
        stream.flush()
        os.fsync(stream.fileno())


def _read(path: Path) -> tuple[list[TokenisedExample], int] | None:
    """Return an entry and its size, or None where there is none; a damaged one goes."""
    if not path.exists():
        return None
    import pyarrow

    try:
        with pyarrow.OSFile(str(path)) as stream:
            size = stream.size()
            table = pyarrow.ipc.open_file(stream).read_all()
        if table.schema.metadata[_DIGEST] != _digest_of(table):
            raise pyarrow.ArrowInvalid("its digest is another one")
    except FileNotFoundError:  # removed just now
        return None
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("Tokenised data in %s are damaged (%s) and made anew.", path.name, error)
        with suppress(OSError):
            path.unlink()
        return None
    columns = [
        *(_lists(table[name]) for name in ("input_ids", "labels")),
        *(table[name].to_pylist() for name in ("cut_before", "cut_after", "continues")),
    ]
    return [TokenisedExample(*row) for row in zip(*columns, strict=True)], size


def _digest_of(table: pyarrow.Table) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for column in table.itercolumns():
        for chunk in column.chunks:
            if column.type == "bool":
                chunk = chunk.cast("int8")
            if str(column.type).startswith("list"):
                digest.update(chunk.value_lengths().to_numpy(zero_copy_only=False).tobytes())
                chunk = chunk.flatten()
            digest.update(chunk.to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest().encode()


def _lists(column: pyarrow.ChunkedArray) -> list[list[int]]:
    lists: list[list[int]] = []
    for chunk in column.chunks:
        values, end = chunk.flatten().to_numpy(), 0
        for length in chunk.value_lengths().to_pylist():
            lists.append(values[end : end + length].tolist())
            end += length
    return lists
