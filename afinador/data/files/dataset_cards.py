"""The front matter of a data set's README.md: which files make up which split, and the names of labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from afinador.config.documents import ShallowLoader, load_yaml
from afinador.data.files.splits import chosen_splits
from afinador.errors import DataError, nearest

CARD = "README.md"
LARGEST_CARD_BYTES = 1 << 20

_FRONT_MATTER = re.compile(r"\A\ufeff?---\r?\n(.*?)\r?\n---", re.DOTALL)


class _WithoutAliases(ShallowLoader):
    """Reads YAML without references, which make much of little."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references are not read")
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class DataCard:
    """What the README.md of a repository says of its data files; nothing if there is none.

    Attributes:
        configs: By name ``{split: patterns of file names}``, the default one first.
    """

    configs: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> DataCard:
        """Read a card; what is not understood is as if it were not there."""
        if not path.is_file() or path.stat().st_size > LARGEST_CARD_BYTES:
            return cls()
        return cls.parse(path.read_text(encoding="utf-8", errors="replace"))

    @classmethod
    def parse(cls, text: str) -> DataCard:
        """Read the text of a card, as ``read`` does."""
        found = _FRONT_MATTER.match(text)
        try:
            front = load_yaml(found[1], _WithoutAliases) if found else None
        except yaml.YAMLError:
            front = None
        if not isinstance(front, dict):
            return cls()
        listed = [each for each in _list(front.get("configs")) if isinstance(each, dict) and each.get("data_files")]
        listed.sort(key=lambda each: not (each.get("default") is True or each.get("config_name") == "default"))
        configs = {str(each.get("config_name", "default")): _splits(each["data_files"]) for each in listed}
        infos = [each for each in _list(front.get("dataset_info")) if isinstance(each, dict)]
        features = {str(each.get("config_name", "default")): each.get("features") for each in infos}
        return cls(configs, features)

    def config_name(self, wanted: str | None) -> str | None:
        """Return the name of the config to read: the wanted one, else the default, else the only one.

        Raises:
            DataError: There is no such config, or there are several and none is wanted or default.
        """
        if not self.configs:
            return wanted
        names = list(self.configs)
        if wanted is None and (len(names) == 1 or names[0] == "default"):
            return names[0]
        if wanted not in self.configs:
            said = f"config is {wanted!r}" if wanted else "No config is declared"
            near = nearest(wanted or "", names)
            raise DataError(f"{said}; the data set has: {', '.join(names)}.{near} Declare config as one of these.")
        return wanted

    def files(self, names: Sequence[str], config: str | None, split: str | None) -> list[str]:
        """Return those of the files that make up a split, or all.

        Raises:
            DataError: There is no such config or split, or none of its files.
        """
        splits = self.configs[str(self.config_name(config))]
        chosen = chosen_splits(list(splits), split)
        patterns = [pattern for each in chosen for pattern in splits[each]]
        files = [name for name in names if any(_is_matched(name, pattern) for pattern in patterns)]
        if not files:
            said = f"the split {chosen[0]!r} is" if len(chosen) == 1 else f"the splits {', '.join(chosen)} are"
            raise DataError(
                f"The README.md of the data set says that {said} in {', '.join(patterns)}; no such file is there. Add it, or "
                "correct the README.md."
            )
        return files

    def labels(self, config: str | None) -> dict[str, list[str]]:
        """Return by column the names of a config's ClassLabels."""
        features = self.features.get(config or next(iter(self.configs), "default"))
        named = {}
        for each in _list(features):
            kind = each.get("dtype") if isinstance(each, dict) else None
            names = kind.get("class_label") if isinstance(kind, dict) else None
            names = names.get("names") if isinstance(names, dict) else None
            if isinstance(names, dict) and {str(id) for id in names} == {str(id) for id in range(len(names))}:
                by_id = {str(id): str(name) for id, name in names.items()}
                named[str(each.get("name"))] = [by_id[str(id)] for id in range(len(names))]
        return named


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _splits(data_files: Any) -> dict[str, list[str]]:
    """Return the patterns by split of the three ways in which cards write them."""
    if isinstance(data_files, dict):
        return {str(split): [str(each) for each in _list(patterns)] for split, patterns in data_files.items()}
    splits: dict[str, list[str]] = {}
    for each in _list(data_files):
        split, patterns = (each.get("split", "train"), each.get("path")) if isinstance(each, dict) else ("train", each)
        splits.setdefault(str(split), []).extend(str(pattern) for pattern in _list(patterns))
    return splits


def _is_matched(name: str, pattern: str) -> bool:
    """Tell whether a file is meant by a pattern of the Hub: ``*`` within a folder's name, ``**`` for any folders.

    A folder means all that is in it.
    """
    parts = pattern.removeprefix("./").rstrip("/").split("/")
    reached = _with_skipped({0}, parts)
    for segment in name.split("/"):
        if len(parts) in reached:
            return True
        stay = {at for at in reached if parts[at] == "**"}
        if len(parts) - 1 in stay:  # at the end it means all there is
            return True
        on = {at + 1 for at in reached if parts[at] != "**" and fnmatchcase(segment, parts[at])}
        reached = _with_skipped(stay | on, parts)
    return len(parts) in reached


def _with_skipped(reached: set[int], parts: Sequence[str]) -> set[int]:
    """Add the places behind a ``**``, which may stand for nothing; but a file's own name stands for itself."""
    for at in sorted(reached):
        while at < len(parts) - 1 and parts[at] == "**":
            at += 1
            reached.add(at)
    return reached
