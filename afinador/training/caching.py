"""Where a run finds tokenised data, and keeps them: a document of its run directory, so that it needs to know no more."""

from __future__ import annotations

from pathlib import Path

from afinador.data.tokens.cache import TokenCache
from afinador.training.run_dir import RunDir

_DOCUMENT = "cache.json"


def offer_cache(run_dir: RunDir, folder: Path, max_bytes: int) -> None:
    """Tell a run where tokenised data of its organisation are kept; with 0 bytes none are."""
    if max_bytes:
        run_dir.write_document(_DOCUMENT, {"folder": str(folder), "max_bytes": max_bytes})
    else:
        run_dir.remove_document(_DOCUMENT)


def cache_of(run_dir: RunDir) -> TokenCache | None:
    """Return the cache that a run was offered, or None; then it tokenises for itself."""
    offered = run_dir.read_document(_DOCUMENT)
    return None if offered is None else TokenCache(Path(offered["folder"]), int(offered["max_bytes"]))
