"""The whole stack, started once for the tests of this folder; at rest it costs a fifth of a core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stack import Stack, register_tiny, start, stop


@pytest.fixture(scope="package")
def stack(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack that all integration tests share, with the base model ``tiny`` registered."""
    running = start(root, tmp_path_factory.mktemp("home"))
    try:
        register_tiny(running)
        yield running
    finally:
        stop(running)


@pytest.fixture(scope="session")
def quick(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small training and a small validation file, cut from the examples."""
    folder = tmp_path_factory.mktemp("quick")
    for name, rows in (("train", 48), ("validation", 8)):
        lines = (root / "examples" / "data" / f"{name}.jsonl").read_text().splitlines()[:rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "train.jsonl", folder / "validation.jsonl"
