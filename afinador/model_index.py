"""The index of the models that transformers knows, kept from one process to the next.

While it is imported, transformers 5.23 reads the sources of all its models, 1,669 files, for the names that they define;
and once more when its first model is imported, for it remembers 128 folders and there are 548. That is more than half of
what a process takes to start that only needs a tokenizer (docs/decisions/0020).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

READER = "transformers.utils.import_utils"
CHECKED_VERSION = "5.23.0"
"""Whose source was read; another is imported as it is."""

Index = dict[frozenset[str], dict[str, set[str]]]
"""For each set of libraries that are needed: modules, by their names below the folder of the models, and what they define."""


def keep_index_of_models() -> None:
    """From now on let transformers find the index that a process before has kept, or keep the one that it makes.

    It lies in the user's cache (``XDG_CACHE_HOME``, else ``~/.cache``). A process calls this before it imports
    transformers; afterwards, and with another version than the checked one, it does nothing.
    """
    if READER not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds transformers' reader of its models, and has it ask for the kept index when it was loaded."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != READER:
            return None
        sys.meta_path.remove(self)
        package = sys.modules["transformers"]  # which is being imported, and knows its version already
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None or getattr(package, "__version__", None) != CHECKED_VERSION:
            return spec
        models, load = Path(package.__path__[0]) / "models", spec.loader.exec_module

        def load_and_change(module: ModuleType) -> None:
            load(module)
            module.define_import_structure = _kept(module.define_import_structure, models)  # type: ignore[attr-defined]

        spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


def _kept(read: Callable[..., Index], models: Path) -> Callable[..., Index]:
    """Return transformers' reader with the index of its models from the cache; other folders it reads itself."""
    index: Index | None = None

    def define_import_structure(module_path: Any, prefix: str | None = None) -> Index:
        nonlocal index
        if Path(module_path) not in (models, models / "__init__.py"):
            return read(module_path, prefix)
        if index is None:
            index = _index(read, models)
        before = f"{prefix}." if prefix else ""
        # A copy: transformers adds to what it gets.
        return {
            needed: {before + module: set(names) for module, names in modules.items()}
            for needed, modules in index.items()
        }

    return define_import_structure


def _index(read: Callable[..., Index], models: Path) -> Index:
    try:
        place = _place(models)
    except (OSError, RuntimeError):  # nobody's home
        return read(models)
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return _from_rows(json.loads(place.read_text(encoding="utf-8")))
    index = read(models)
    with suppress(OSError):  # the next process makes it again
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, written = tempfile.mkstemp(dir=place.parent, prefix=place.name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(_to_rows(index), stream)
        os.replace(written, place)
    return index


def _place(models: Path) -> Path:
    """Return the file of the index: another one where other models are installed under the same version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    installed = sorted(
        name for name in os.listdir(models) if name != "__pycache__"
    )  # which comes with the first import
    names = sha256("\n".join(installed).encode()).hexdigest()[:16]
    return cache / "afinador" / f"transformers-{CHECKED_VERSION}-models-{names}.json"


def _to_rows(index: Index) -> list[Any]:
    return [
        [sorted(needed), {module: sorted(names) for module, names in modules.items()}]
        for needed, modules in index.items()
    ]


def _from_rows(rows: Any) -> Index:
    """Return the index.

    Raises:
        ValueError, TypeError, AttributeError: The rows are not those of an index.
    """
    index = {frozenset(needed): {module: set(names) for module, names in modules.items()} for needed, modules in rows}
    if not index.get(frozenset()):
        raise ValueError("There is no model that needs nothing.")
    return index
