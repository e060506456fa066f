"""Models by name on this machine: folders, registered ones, the operator's aliases, folders below the roots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from afinador.config.operator import read_operator_config
from afinador.errors import InvalidRequestError, NotFoundError, nearest
from afinador.settings import Settings
from afinador.training.job_file import folder_name
from afinador.training.run_dir import write_atomically

_NAMES_SHOWN = 5


class LocalModels:
    """The models that a job can begin with, and those that jobs made.

    Args:
        settings: Names the roots and the operator's file.
        folder: Where a small file for each registered model lies.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder

    def register(self, model_id: str, described: dict[str, Any]) -> None:
        """Write a model down; a second time changes nothing."""
        path = self._folder / f"{model_id}.json"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps({"id": model_id, **described}, indent=1))

    def get(self, model_id: str) -> dict[str, Any]:
        """Return what is known of a registered model.

        Raises:
            NotFoundError: There is none of this id.
        """
        known = self._registered()
        if model_id not in known:
            raise NotFoundError(
                f"There is no registered model {model_id!r}.{nearest(model_id, known)}", code="model_not_found"
            )
        return dict(json.loads((self._folder / f"{model_id}.json").read_text(encoding="utf-8")))

    def folder_of(self, model_id: str) -> Path:
        """Return the folder of a model that a job can begin with.

        Raises:
            NotFoundError: There is none; names those that there are.
            InvalidRequestError: It is an adapter, from which training does not go on.
        """
        folder = Path(model_id).expanduser()
        if (folder / "config.json").is_file():
            return folder.resolve()
        if model_id in self._registered():
            return self._folder_of_registered(model_id)
        aliases: dict[str, str] = read_operator_config(self._settings.config).get("model_aliases") or {}
        below_roots = self._below_roots()
        for name in (model_id, aliases.get(model_id, model_id)):
            if name in below_roots:
                return below_roots[name]
        leading = [alias for alias, name in aliases.items() if name in below_roots]
        known, meant = [*below_roots, *leading, *self._registered()], aliases.get(model_id, model_id)
        led = f"{model_id!r} is an alias of AFINADOR_CONFIG. " if model_id in aliases else ""
        shown = f" There are: {', '.join(known[:_NAMES_SHOWN])}." if known else ""
        roots = ":".join(map(str, self._settings.allowed_model_roots))
        raise NotFoundError(
            f"{led}There is no model {meant!r}: it is no folder with a config.json, and none of this name lies below "
            f"{roots} (AFINADOR_MODEL_ROOTS).{nearest(meant, known) or shown}",
            param="model_id",
            code="model_not_found",
        )

    def name_of(self, model_id: str) -> str:
        """Return what a model that a job can begin with is called: as it was given, or of a folder its id or its name."""
        folder = Path(model_id).expanduser()
        if not (folder / "config.json").is_file():
            return model_id
        there = (each for each in self._registered() if Path(self.get(each)["path"]).resolve() == folder.resolve())
        return next(there, folder_name(folder))

    def _folder_of_registered(self, model_id: str) -> Path:
        model = self.get(model_id)
        if model["kind"] == "adapter":
            raise InvalidRequestError(
                f"{model_id!r} is an adapter of {model['base_model']!r}; a job begins with a whole model. Name that one.",
                param="model_id",
            )
        return Path(model["path"])

    def _registered(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def _below_roots(self) -> dict[str, Path]:
        """Return the folders with a model, at most two levels below a root, by their path from there."""
        found: dict[str, Path] = {}
        for root in self._settings.allowed_model_roots:
            for pattern in ("*/config.json", "*/*/config.json"):
                for config in sorted(root.glob(pattern)):
                    found.setdefault(config.parent.relative_to(root).as_posix(), config.parent)
        return found
