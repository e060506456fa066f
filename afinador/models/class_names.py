"""The names of a classifier's classes, as its configuration keeps them; read without torch."""

from __future__ import annotations

import json
from pathlib import Path

BASE_FOLDER = "base"
"""Folder of a published adapter that holds the configuration to load its base with: it knows the classes."""


def class_names_of(folder: Path) -> list[str]:
    """Return the classes of the classifier in a folder, or of the adapter of one, in the order of their numbers."""
    place = folder / BASE_FOLDER if (folder / BASE_FOLDER).is_dir() else folder
    names = json.loads((place / "config.json").read_text(encoding="utf-8"))["id2label"]
    return [names[number] for number in sorted(names, key=int)]
