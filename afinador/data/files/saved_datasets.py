"""Data sets of the ``datasets`` library, as its ``save_to_disk`` leaves them in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from afinador.data.files.splits import chosen_splits
from afinador.data.files.tables import Labels, label_names, read_arrow
from afinador.data.quoting import shortened
from afinador.data.records import Record
from afinador.errors import DataError

STATE_FILE, SPLITS_FILE, INFO_FILE = "state.json", "dataset_dict.json", "dataset_info.json"


def read_saved_dataset(folder: Path, split: str | None = None) -> Iterator[Record]:
    """Yield the records of a saved data set; of one with splits those of ``train``. Fields that are null are left out.

    Nothing is fetched: what lies on the Hugging Face Hub has to be saved in a folder first.

    Raises:
        DataError: There is no such folder, it holds no data set, it has no such split, or ``pyarrow`` is missing.
    """
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}. A data set of the Hugging Face Hub is read from a folder: save it with "
            "datasets.load_dataset(NAME).save_to_disk(FOLDER) first."
        )
    if not is_saved_dataset(folder):
        raise DataError(
            f"{folder} holds no data set that datasets.save_to_disk has written. Name the folder that it wrote."
        )
    number = 0
    for path, labels in shards_of(folder, split):
        for record in read_arrow(path, labels, number + 1):
            yield record
            number = record.line


def is_saved_dataset(folder: Path) -> bool:
    """Tell whether ``save_to_disk`` has written this folder."""
    return (folder / STATE_FILE).is_file() or (folder / SPLITS_FILE).is_file()


def shards_of(folder: Path, split: str | None = None) -> list[tuple[Path, Labels]]:
    """Return the Arrow files of a split, or of all, in order, each with the names of its labels.

    Raises:
        DataError: There is no such split, a file is missing or leads out of the folder, or rows were chosen by indices.
    """
    if (folder / SPLITS_FILE).is_file():
        splits = _document(folder / SPLITS_FILE).get("splits")
        if not isinstance(splits, list) or not all(isinstance(each, str) for each in splits):
            raise _damaged(SPLITS_FILE)
        return [shard for each in chosen_splits(splits, split) for shard in _shards_in(_inside(folder, each))]
    return _shards_in(folder)


def _shards_in(folder: Path) -> list[tuple[Path, Labels]]:
    state = _document(folder / STATE_FILE)
    if state.get("_indices_data_files"):
        raise DataError("The saved data set chooses rows by indices. Save it with flatten_indices() before.")
    files = state.get("_data_files")
    if not isinstance(files, list) or not all(isinstance(each, dict) for each in files):
        raise _damaged(STATE_FILE)
    info = _document(folder / INFO_FILE) if (folder / INFO_FILE).is_file() else {}
    labels = label_names(info.get("features"))
    return [(_inside(folder, str(each.get("filename"))), labels) for each in files]


def _inside(folder: Path, name: str) -> Path:
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError):  # a name that no file can have
        path = folder
    if folder.resolve() not in path.parents or not path.exists():
        raise DataError(f"The saved data set names {shortened(name)}, which is not in its folder. Save it again.")
    return folder / name


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path.name) from error
    if not isinstance(document, dict):
        raise _damaged(path.name)
    return document


def _damaged(name: str) -> DataError:
    return DataError(f"{name} is not what datasets.save_to_disk writes. Save the data set again.")
