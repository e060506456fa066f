"""Where tokenised data are kept, one folder an organisation: no one's data are ever looked up for another."""

from __future__ import annotations

from pathlib import Path

from afinador.settings import Settings


def folder_of(settings: Settings, organization_id: str) -> Path:
    """Return where an organisation's tokenised data lie on this machine."""
    return settings.token_cache_dir / organization_id


def forget(settings: Settings, organization_id: str, sha256: str) -> None:
    """Remove what was kept of a file that is deleted; where other files have the same bytes, it is made again."""
    for path in folder_of(settings, organization_id).glob(f"{sha256}-*"):
        path.unlink(missing_ok=True)
