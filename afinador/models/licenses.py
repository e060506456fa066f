"""The licence of a model folder: what its card says, else its configuration, else the text that lies beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from afinador.config.documents import load_yaml

_TERMS = re.compile(r"(LICEN[SC]E|NOTICE|USE_POLICY)(\.(md|txt))?", re.IGNORECASE)
_BEGINNING_CHARACTERS = 2000
LARGEST_FRONT_MATTER_BYTES = 1 << 20
"""Of a card; what begins with more says nothing about the licence."""
_FRONT_MATTER = re.compile(r"\s*---[ \t]*\r?\n(?P<text>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_PLAIN_LINE = re.compile(r"^(?P<key>license(?:_name|_link)?):[ \t]+(?P<value>[^\s\[{&*!|>%@`#][^\r\n#]*)", re.MULTILINE)
_TEXTS = {
    "apache-2.0": r"Apache License\s+Version 2\.0",
    "mit": r"MIT License|Permission is hereby granted, free of charge, to any person",
    "gpl-3.0": r"GNU GENERAL PUBLIC LICENSE\s+Version 3",
    "agpl-3.0": r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3",
    "cc-by-nc-4.0": r"Attribution-NonCommercial 4\.0 International",
    "cc-by-sa-4.0": r"Attribution-ShareAlike 4\.0 International",
    "cc-by-4.0": r"Attribution 4\.0 International",
    "gemma": r"Gemma Terms of Use",
    "llama3": r"META LLAMA 3 COMMUNITY LICENSE",
    "llama3.1": r"LLAMA 3\.1 COMMUNITY LICENSE",
    "llama3.2": r"LLAMA 3\.2 COMMUNITY LICENSE",
}
"""How the licences that models mostly have begin, by the names that the Hugging Face Hub gives them."""


def is_terms(name: str) -> bool:
    """Tell by a file's name whether it holds terms, which have to travel with the model wherever it goes."""
    return _TERMS.fullmatch(name) is not None


def terms_of(folder: Path) -> list[Path]:
    """Return the files of a model folder that hold terms, sorted."""
    return sorted(file for file in folder.iterdir() if is_terms(file.name) and file.is_file())


def find_license(folder: Path) -> str | None:
    """Return the licence of a model folder by the name that the Hugging Face Hub gives it.

    Returns:
        ``license`` (or ``license_name``) of the front matter of README.md; else ``license`` of config.json; else what
        a file LICENSE begins like, ``other`` when that is none of the usual ones. None when nothing is said.
    """
    return _of_card(folder / "README.md") or _of_config(folder / "config.json") or _of_text(folder)


def fields_of_card(folder: Path, license: str | None) -> Mapping[str, str | list[str]]:
    """Return what the card of something made from a model folder says of the licence.

    The Hugging Face Hub knows some licences by name; the name of any other stands in ``license_name``, and where its text
    is in ``license_link`` (https://huggingface.co/docs/hub/repositories-licenses).

    Args:
        folder: The model folder.
        license: Its licence, as ``find_license`` gives it.
    """
    front_matter = _front_matter(folder / "README.md")
    listed = front_matter.get("license")
    if isinstance(listed, list) and license is not None and _as_name(listed) == license:
        return {"license": [str(each) for each in listed]}
    named = _as_name(front_matter.get("license_name"))
    if front_matter.get("license") != "other" or named is None or named != license:
        return {"license": license or "unknown"}
    texts = [file.name for file in terms_of(folder) if file.name.upper().startswith("LICEN")]
    link = _as_name(front_matter.get("license_link")) or next(iter(texts), None)
    return {"license": "other", "license_name": named} | ({"license_link": link} if link else {})


def _of_card(card: Path) -> str | None:
    front_matter = _front_matter(card)
    named = front_matter.get("license_name") if front_matter.get("license") == "other" else None
    return _as_name(named or front_matter.get("license"))


def _front_matter(card: Path) -> dict[str, Any]:
    """Return what a card begins with; nothing where there is none, or nobody can read it."""
    if not card.is_file():
        return {}
    with card.open("rb") as stream:
        beginning = stream.read(LARGEST_FRONT_MATTER_BYTES).decode("utf-8-sig", errors="replace")
    found = _FRONT_MATTER.match(beginning)
    if found is None:
        return {}
    try:
        front_matter = load_yaml(found["text"])
    except yaml.YAMLError:  # of something else there, perhaps
        return {each["key"]: each["value"].strip().strip("'\"") for each in _PLAIN_LINE.finditer(found["text"])}
    return front_matter if isinstance(front_matter, dict) else {}


def _of_config(config: Path) -> str | None:
    try:
        document = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # whoever needs the configuration says so
    return _as_name(document.get("license")) if isinstance(document, dict) else None


def _of_text(folder: Path) -> str | None:
    for file in terms_of(folder):
        if file.name.upper().startswith("LICEN"):
            with file.open(encoding="utf-8", errors="replace") as stream:
                beginning = stream.read(_BEGINNING_CHARACTERS)
            found = (license for license, text in _TEXTS.items() if re.search(text, beginning, re.IGNORECASE))
            return next(found, "other")
    return None


def _as_name(value: Any) -> str | None:
    """Return one name: some cards list several. What is neither a name nor a list of names says nothing."""
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str | int | float) and not isinstance(each, bool) for each in names):
        return None
    return ", ".join(map(str, names))[:255] or None
