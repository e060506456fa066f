"""Data sets of the ``datasets`` library, as its ``save_to_disk`` leaves them in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from afinador.data.records import Record
from afinador.errors import DataError

SPLIT = "train"


def read_saved_dataset(folder: Path) -> Iterator[Record]:
    """Yield the records of a saved data set; of one with splits those of ``train``. Fields that are null are left out.

    Nothing is fetched: what lies on the Hugging Face Hub has to be saved in a folder first.

    Raises:
        DataError: There is no such folder, it holds no data set, or none called ``train``; or ``datasets`` is missing.
    """
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}. A data set of the Hugging Face Hub is read from a folder: save it with "
            "datasets.load_dataset(NAME).save_to_disk(FOLDER) first."
        )
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "Reading saved data sets needs the package 'datasets' (pip install afinador[train])."
        ) from error
    try:
        saved = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds no data set that datasets.save_to_disk has written.") from error
    if isinstance(saved, datasets.DatasetDict):
        if SPLIT not in saved:
            raise DataError(f"{folder} has the splits {', '.join(saved)}, but no {SPLIT!r}. Save the one to train on.")
        saved = saved[SPLIT]
    for number, row in enumerate(saved, start=1):
        yield Record(number, {name: value for name, value in row.items() if value is not None}, "Record")
